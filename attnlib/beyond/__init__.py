"""The same dials elsewhere: systems of the literature made of attnlib's own attention.

======================  ===================================================================
``memory``              addressing a memory by content and place; questions in several hops
``speech``              spoken digits: the score sees where attention was a step ago
``parsing``             a sentence to its tree, written as brackets
``pointing``            the weights are the output: sort numbers, fence points in
``filling``             an encoder alone, trained on masked words, fills blanks
``patches``             a transformer that reads a picture as 64 words
``segmentation``        which pixels are the star, learned from "there is a star"
``without``             other matrices in the place of attention, and what they cannot do
``teaching``            one short training loop, and teacher forcing for models that write
======================  ===================================================================

Each is one model and one training function, learns in minutes on one core, and is measured where
the truth is known.
"""
