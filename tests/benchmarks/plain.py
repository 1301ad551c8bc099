"""The same models written plainly from the equations: the yardstick of the benchmarks.

Of the translator: a loop over the target in which every step does all of its work: it projects the
keys, scores them, and computes the output layer and its loss. Of the transformer: a step that reads
all words so far. They use the weights of a `Translator` and of a `Transformer`, so that they do the
same sums; only their order and number differ.
"""

import torch
from torch.nn.functional import cross_entropy

from attnlib.data.tokenizer import BOS, EOS, PAD
from attnlib.masks import padding_mask


def step(model, word, state, annotations, mask):
    """One step of Bahdanau's decoder (2015, A.2.2): logits (B, V), and the new state (B, H)."""
    decoder, score = model.decoder, model.decoder.attention.score
    hidden = score.W(state).unsqueeze(1) + score.U(annotations)  # (B, S, A): keys projected again
    scores = score.v(hidden.tanh()).squeeze(-1).masked_fill(~mask, -1e9)
    context = (scores.softmax(-1).unsqueeze(-1) * annotations).sum(1)
    state = decoder.cell(torch.cat([word, context], -1), state)
    vector = decoder.W_c(torch.cat([state, context, word], -1)).tanh()
    return model.output(decoder.dropout(vector)), state


def read(model, source, lengths):
    """Annotations (B, S, 2H), mask (B, S), first state (B, H)."""
    embedded = model.dropout(model.embedding(source))
    annotations, summary = model.encoder(embedded, lengths)
    mask = padding_mask(lengths, source.shape[1])
    return model.annotation_dropout(annotations), mask, model.decoder.first(summary).tanh()


def loss(model, batch, smoothing):
    """The summed label-smoothed cross-entropy of a batch."""
    annotations, mask, state = read(model, batch.source, batch.source_lengths)
    total = 0.0
    for given, wanted in zip(batch.target_in.unbind(1), batch.target_out.unbind(1), strict=True):
        word = model.dropout(model.embedding(given))
        logits, state = step(model, word, state, annotations, mask)
        total = total + cross_entropy(
            logits, wanted, ignore_index=PAD, label_smoothing=smoothing, reduction="sum"
        )
    return total


class Uncached:
    """A transformer for `decoding` that keeps no keys and values, of words or of the source.

    The source is read once all the same, and of the words only the last goes to the output layer.
    """

    def __init__(self, model):
        self.model, self.encode = model, model.encode

    def start(self, memory):
        """No words."""
        return torch.zeros(len(memory.mask), 0, dtype=torch.long)

    def step(self, token, state, memory):
        """Logits (B, V) and weights (B, S) of the last of the words, and the words (B, t)."""
        words = torch.cat([state, token.unsqueeze(1)], 1)
        memory = memory._replace(prepared=self.model.decoder.prepare(memory.annotations))
        vectors, weights = self.model.decode(memory, words)
        return self.model.output(vectors[:, -1]), weights[:, -1], words


@torch.no_grad()
def beam_search(model, ids, beam, max_length, alpha=0.6):
    """Beam search of one sentence: a list of beginnings, one model call each a step."""
    source = torch.tensor([[*ids, EOS]])
    annotations, mask, state = read(model, source, torch.tensor([source.shape[1]]))
    beams, done = [(0.0, [BOS], state)], []
    for _ in range(max_length + 1):
        grown = []
        for total, written, state in beams:
            word = model.embedding(torch.tensor(written[-1:]))
            logits, state = step(model, word, state, annotations, mask)
            best, words = logits.log_softmax(-1)[0].topk(beam + 1)
            for logprob, token in zip(best.tolist(), words.tolist(), strict=True):
                grown.append((total + logprob, [*written, token], state))
        grown.sort(key=lambda hypothesis: -hypothesis[0])
        done += [h for h in grown[:beam] if h[1][-1] == EOS]
        beams = [h for h in grown if h[1][-1] != EOS][:beam]
        if len(done) >= beam:
            break
    ranked = [(total / ((4 + len(w)) / 6) ** alpha, w) for total, w, _ in done or beams]
    return max(ranked)[1][1:-1]
