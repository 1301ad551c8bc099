"""The transformers of others, at our sizes and with our weights: the rivals of the benchmarks.

`Ordinary` is PyTorch's own `nn.Transformer`, used as its documentation shows. `joey` is Joey NMT's
(Kreutzer et al. 2019), built from its configuration; it is measured where it is installed::

    pip install --no-deps joeynmt==2.3.0
    pip install tensorboard sentencepiece subword-nmt importlib-metadata

(without ``--no-deps`` it brings much that is not needed here, and perhaps another torch).

Both write the same sentences as ours. Neither has our optimisations, and that is the comparison.
Their dropout is in more places than ours: on the attention weights and in the feed-forward layers.

`ctranslate2` is the other way round: an engine in C++ that does nothing but translate, and so says
how much plain PyTorch leaves. It is measured where it is installed (``pip install
ctranslate2==4.8.5``), in float32 like the others.
"""

from types import SimpleNamespace

import torch
from torch import nn

from attnlib.data.tokenizer import BOS, EOS, PAD, UNK
from attnlib.positions import Sinusoidal
from attnlib.transformer import Transformer


class Ordinary(nn.Module):
    """Embedding, positions, `nn.Transformer` with its masks, and a tied output layer."""

    def __init__(self, model: Transformer, dropout: float, longest: int = 512):
        super().__init__()
        V, D = model.embedding.weight.shape
        layers, heads, hidden = sizes(model)
        self.embedding = nn.Embedding(V, D, padding_idx=PAD)
        self.register_buffer("positions", Sinusoidal(D).table(longest))
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Transformer(
            D, heads, layers, layers, hidden, dropout, batch_first=True, norm_first=True
        )
        self.output = nn.Linear(D, V)
        self.output.weight = self.embedding.weight
        self.copy(model)

    @torch.no_grad()
    def copy(self, model: Transformer) -> None:
        """Take our weights."""
        self.embedding.weight.copy_(model.embedding.weight)
        self.output.bias.copy_(model.bias)
        parts = self.transformer.encoder, self.transformer.decoder
        for ours, theirs in zip((model.encoder, model.decoder.stack), parts, strict=True):
            theirs.norm.load_state_dict(ours.norm.state_dict())
            for block, layer in zip(ours.blocks, theirs.layers, strict=True):
                copy_block(block, layer)

    def embed(self, ids):
        """Words (B, T) as vectors (B, T, D)."""
        embedded = self.embedding(ids) * self.embedding.embedding_dim**0.5
        return self.dropout(embedded + self.positions[: ids.shape[1]])

    def forward(self, source, given):
        """Logits (B, T, V) of teacher forcing."""
        hidden = source == PAD
        vectors = self.transformer(
            self.embed(source),
            self.embed(given),
            tgt_mask=future(given.shape[1]),
            src_key_padding_mask=hidden,
            memory_key_padding_mask=hidden,
            tgt_is_causal=True,
        )
        return self.output(vectors)

    @torch.no_grad()
    def greedy(self, source, limit):
        """Ids (B, T): at each step the decoder reads all the words so far again."""
        hidden = source == PAD
        memory = self.transformer.encoder(self.embed(source), src_key_padding_mask=hidden)
        words = torch.full((len(source), 1), BOS)
        ended = torch.zeros(len(source), dtype=torch.bool)
        for _ in range(limit):
            vectors = self.transformer.decoder(
                self.embed(words),
                memory,
                tgt_mask=future(words.shape[1]),
                memory_key_padding_mask=hidden,
                tgt_is_causal=True,
            )
            word = self.output(vectors[:, -1]).argmax(-1)
            words = torch.cat([words, word.unsqueeze(1)], 1)
            ended |= word == EOS
            if ended.all():
                break
        return words[:, 1:]


def future(T: int) -> torch.Tensor:
    """PyTorch's mask (T, T) of the words after each: True is hidden."""
    return torch.ones(T, T, dtype=torch.bool).triu(1)


def sizes(model: Transformer) -> tuple[int, int, int]:
    """Layers, heads, and hidden width of the feed-forward layers."""
    blocks = model.encoder.blocks
    block = blocks[0]
    return len(blocks), block.self_attention.heads, block.feed_forward.W_1.out_features


def copy_block(ours, theirs) -> None:
    """From one of our blocks to a layer of `nn.Transformer`."""
    pairs = [(ours.self_attention, theirs.self_attn)]
    norms = [ours.norm_self, ours.norm_feed_forward]
    if ours.cross_attention is not None:
        pairs.append((ours.cross_attention, theirs.multihead_attn))
        norms.insert(1, ours.norm_cross)
    with torch.no_grad():
        for attention, other in pairs:
            nn.init.zeros_(other.in_proj_bias)
            nn.init.zeros_(other.out_proj.bias)
            parts = (attention.W_Q.weight, attention.W_K.weight, attention.W_V.weight)
            other.in_proj_weight.copy_(torch.cat(parts))
            other.out_proj.weight.copy_(attention.W_O.weight)
    for i, norm in enumerate(norms, start=1):
        getattr(theirs, f"norm{i}").load_state_dict(norm.state_dict())
    theirs.linear1.load_state_dict(ours.feed_forward.W_1.state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward.W_2.state_dict())


def joey(model: Transformer, dropout: float, smoothing: float):
    """Joey NMT's transformer from its own configuration, with our weights."""
    from joeynmt.model import build_model
    from joeynmt.vocabulary import Vocabulary

    V, D = model.embedding.weight.shape
    layers, heads, hidden = sizes(model)
    names = ("unk", "pad", "bos", "eos")  # its order, and its numbers
    symbols = {f"{name}_token": f"<{name}>" for name in names}
    symbols |= {f"{name}_id": i for i, name in enumerate(names)}
    symbols = SimpleNamespace(**symbols, sep_token=None, lang_tags=[])
    vocabulary = Vocabulary([f"word{i}" for i in range(len(names), V)], symbols)
    part = {
        "type": "transformer",
        "num_layers": layers,
        "num_heads": heads,
        "embeddings": {"embedding_dim": D, "scale": True, "dropout": dropout},
        "hidden_size": D,
        "ff_size": hidden,
        "dropout": dropout,
        "layer_norm": "pre",
    }
    config = {"tied_embeddings": True, "tied_softmax": True, "encoder": part, "decoder": part}
    built = build_model(config, vocabulary, vocabulary)
    built.loss_function = ("crossentropy", smoothing)
    places = joey_ids(torch.arange(V))
    built.decoder.output_layer.bias = nn.Parameter(torch.zeros(V))  # it has none, ours has
    with torch.no_grad():
        built.src_embed.lut.weight[places] = model.embedding.weight
        built.decoder.output_layer.bias[places] = model.bias
    for ours, theirs in ((model.encoder, built.encoder), (model.decoder.stack, built.decoder)):
        theirs.layer_norm.load_state_dict(ours.norm.state_dict())
        for block, layer in zip(ours.blocks, theirs.layers, strict=True):
            _copy_to_joey(block, layer)
    for module in built.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5  # as ours
    return built


def joey_ids(ids: torch.Tensor) -> torch.Tensor:
    """Our ids as its own: it numbers the unknown word 0, and <pad>, <s> and </s> after it."""
    return torch.where(ids < 4, (ids + 1) % 4, ids)


def joey_batch(source, lengths, target=None):
    """Its batch of our ids (B, S) of those lengths, and of targets from <s> to </s>."""
    from joeynmt.batch import Batch

    specials = joey_ids(torch.tensor([PAD, EOS])).tolist()
    return Batch(
        src=joey_ids(source),
        src_length=lengths,
        src_prompt_mask=None,
        trg=None if target is None else joey_ids(target),
        trg_prompt_mask=None,
        indices=torch.arange(len(source)),
        device=torch.device("cpu"),
        pad_index=specials[0],
        eos_index=specials[1],
        is_train=target is not None,
    )


def ctranslate2(model: Transformer, folder: str, longest: int = 512):
    """CTranslate2's translator with our weights, kept in a folder; its words are our ids."""
    from ctranslate2 import Translator
    from ctranslate2.specs.common_spec import Activation
    from ctranslate2.specs.transformer_spec import TransformerSpec

    V, D = model.embedding.weight.shape
    layers, heads, _ = sizes(model)
    spec = TransformerSpec.from_config(layers, heads, pre_norm=True, activation=Activation.RELU)
    parts = (spec.encoder, model.encoder), (spec.decoder, model.decoder.stack)
    for theirs, ours in parts:
        embeddings = theirs.embeddings
        embeddings = embeddings[0] if isinstance(embeddings, list) else embeddings
        embeddings.weight = _array(model.embedding.weight)
        theirs.scale_embeddings = True
        theirs.position_encodings.encodings = _array(Sinusoidal(D).table(longest))
        _copy_norm(ours.norm, theirs.layer_norm)
        for block, layer in zip(ours.blocks, theirs.layer, strict=True):
            _copy_to_ctranslate2(block, layer)
    _copy_linear(spec.decoder.projection, model.embedding.weight, bias=model.bias)
    words = [str(i) for i in range(V)]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.config.bos_token = spec.config.decoder_start_token = str(BOS)
    spec.config.eos_token = str(EOS)
    spec.config.unk_token = str(UNK)
    spec.config.add_source_bos = spec.config.add_source_eos = False
    spec.validate()
    spec.optimize()
    spec.save(folder)
    return Translator(folder, device="cpu", inter_threads=1, intra_threads=1)


def _copy_to_ctranslate2(ours, theirs) -> None:
    attention, other = ours.self_attention, theirs.self_attention
    _copy_norm(ours.norm_self, other.layer_norm)
    _copy_linear(other.linear[0], attention.W_Q.weight, attention.W_K.weight, attention.W_V.weight)
    _copy_linear(other.linear[1], attention.W_O.weight)
    if ours.cross_attention is not None:
        attention, other = ours.cross_attention, theirs.attention
        _copy_norm(ours.norm_cross, other.layer_norm)
        _copy_linear(other.linear[0], attention.W_Q.weight)
        _copy_linear(other.linear[1], attention.W_K.weight, attention.W_V.weight)
        _copy_linear(other.linear[2], attention.W_O.weight)
    _copy_norm(ours.norm_feed_forward, theirs.ffn.layer_norm)
    for its, our in ((theirs.ffn.linear_0, "W_1"), (theirs.ffn.linear_1, "W_2")):
        layer = getattr(ours.feed_forward, our)
        _copy_linear(its, layer.weight, bias=layer.bias)


def _copy_linear(theirs, *weights, bias=None) -> None:
    """Our matrices, one below the other, as one of its layers; without a bias, zeros."""
    theirs.weight = _array(torch.cat(weights))
    theirs.bias = _array(torch.zeros(len(theirs.weight)) if bias is None else bias)


def _copy_norm(ours, theirs) -> None:
    theirs.gamma, theirs.beta = _array(ours.weight), _array(ours.bias)


def _array(values: torch.Tensor):
    return values.detach().numpy().copy()


def _copy_to_joey(ours, theirs) -> None:
    pairs = [(ours.self_attention, ours.norm_self)]
    if ours.cross_attention is None:
        names = [("src_src_att", "layer_norm")]
    else:
        pairs.append((ours.cross_attention, ours.norm_cross))
        names = [("trg_trg_att", "x_layer_norm"), ("src_trg_att", "dec_layer_norm")]
    for (attention, norm), (name, its_norm) in zip(pairs, names, strict=True):
        other = getattr(theirs, name)
        layers = {"q_layer": "W_Q", "k_layer": "W_K", "v_layer": "W_V", "output_layer": "W_O"}
        for its, our in layers.items():
            layer = getattr(other, its)
            with torch.no_grad():
                layer.weight.copy_(getattr(attention, our).weight)
                layer.bias.zero_()
        getattr(theirs, its_norm).load_state_dict(norm.state_dict())
    forward = theirs.feed_forward
    forward.layer_norm.load_state_dict(ours.norm_feed_forward.state_dict())
    forward.pwff_layer[0].load_state_dict(ours.feed_forward.W_1.state_dict())
    forward.pwff_layer[3].load_state_dict(ours.feed_forward.W_2.state_dict())
