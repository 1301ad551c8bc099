"""Attention as five dials: score, window, selection, timing, feeding.

A module imports only from those above it; nothing imports ``reference`` but tests and chapters.

======================  ===================================================================
``reference``           every equation as NumPy loops: the oracle
``linear``              a linear layer, faster on a CPU where no gradient is asked for
``masks``               padding and causal masks; the one ``masked_softmax``
``scores``              the score dial: how well does a key match the query?
``windows``             the window dial: which keys may be attended to?
``selection``           the selection dial: an average, or a choice?
``attention``           the three together: ``Attention``
``multihead``           many heads side by side: ``MultiHeadAttention``; the fused kernels
``positions``           the positions dial: sinusoidal, learned, rotary
``autoregressive``      what all models share: tied embedding, decoding word after word
``seq2seq``             recurrent encoder and decoder, with the timing and feeding dials
``captioning``          show, attend and tell: an image encoder and an LSTM that attends to it
``block``               one transformer block: attention, feed-forward, norms, residuals
``transformer``         stacks of blocks: encoder-decoder and language model, with caches
``vision``              image encoders: ours, and torchvision's for photographs
``efficientnet``        an image encoder that ImageNet taught, with its weights
``attribution``         what an output owes to its inputs: norms, rollout, gradients, erasure
``settings``            from names, in a configuration or on a card, to scores, windows, models
``data``                toy tasks, corpora, subwords, batches, files
``decoding``            greedy and beam search over a step function
``metrics``             of translations, alignments, captions and heads, all with intervals
``ibm1``                word alignment by counting, what attention is measured against
``choosing``            soft against hard where the right choice is known: tasks, one small model
``evidence``            sentences whose deciding words are known, a classifier that attends to them
``adversary``           other weights, the same prediction: searched for, exact, trained
``beyond``              the dials elsewhere: memory, speech, parsing, pointing, blanks, pictures
``plotting``            arrays in, Axes out
``drawing``             the book's drawings: boxes, arrows, vectors and matrices as SVG
``tables``              results as a table, on a page and in a terminal
``storage``             a model as a folder of bytes, without pickle, its checksums on its card
``pretrained``          the shipped models: ``load("en-fr-bahdanau")``
``evaluation``          a model's test set, translated or captioned, and scored
``training``            one loop, one frozen description of a run, exact resume
``checks``              of an assignment's answers, and of any attention; the bug museum
``explore``             interactive figures
``text``                what the terminal shows: alignments, comparisons, cards as lines
``cli``                 ``attnlib translate | compare | align | caption | evaluate | train | info``
======================  ===================================================================

Nothing is re-exported here: ``from attnlib.attention import Attention`` says where a thing lives.
"""

__version__ = "0.1.0"
