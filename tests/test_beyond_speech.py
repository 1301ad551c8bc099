"""Strings of spoken digits know their borders; the listener is a translator with another ear."""

import hashlib
import io
import random
import tarfile
import wave

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnlib.beyond import speech
from attnlib.data import files, spoken
from attnlib.data.spoken import Clip
from attnlib.masks import padding_mask
from attnlib.scores import AdditiveScore, LocationAwareScore

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ


def tone(digit, speaker="george", number=5, samples=2400):
    """A recording that cannot be mistaken: one pitch a digit, with mean square 1."""
    t = np.arange(samples) / spoken.RATE
    wanted = np.sqrt(2) * np.sin(2 * np.pi * (300 + 330 * digit) * t)
    return Clip(digit, speaker, number, wanted.astype(np.float32))


TONES = tuple(tone(d, s, 5 + n) for d in range(10) for s in ("george", "theo") for n in range(3))


# Recordings -----------------------------------------------------------------------------------


def recording(values):
    """The bytes of a wav file."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(spoken.RATE)
        file.writeframes(np.asarray(values, "<i2").tobytes())
    return held.getvalue()


FOUND = {
    "7_jackson_32.wav": recording([300, -300] * 500),
    "0_theo_4.wav": recording([3, -4] * 500),
    "9_theo_16.wav": recording([5] * (spoken.LONGEST + 1)),  # too long
}


def known(found):
    lines = [f"{hashlib.sha256(found[n]).hexdigest()}  recordings/{n}\n" for n in sorted(found)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_recordings_are_read_levelled_and_those_too_long_left_out():
    clips = spoken.read(FOUND, known(FOUND))
    assert [(c.digit, c.speaker, c.number) for c in clips] == [(0, "theo", 4), (7, "jackson", 32)]
    for clip in clips:
        assert clip.samples.dtype == np.float32 and len(clip.samples) == 1000
        assert np.mean(clip.samples.astype(float) ** 2) == pytest.approx(1.0, abs=1e-6)
    assert clips[0].samples[1] / clips[0].samples[0] == pytest.approx(-4 / 3)


def test_other_recordings_are_refused(tmp_path, monkeypatch):
    """Altered, missing, or from an archive that is none: told, with the file to delete."""
    for change in (
        {"0_theo_4.wav": recording([3, -5] * 500)},
        {"1_theo_4.wav": FOUND["0_theo_4.wav"]},
    ):
        with pytest.raises(ValueError, match="recordings with sha256"):
            spoken.read(FOUND | change, known(FOUND))
    with pytest.raises(ValueError, match="1 recordings with sha256"):
        spoken.read({"0_theo_4.wav": FOUND["0_theo_4.wav"]}, known(FOUND))

    monkeypatch.delenv("ATTNLIB_DATA", raising=False)
    monkeypatch.setenv("ATTNLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(spoken, "read", lambda found: spoken_read(found, known(FOUND)))
    path = tmp_path / "fsdd" / f"{spoken.RELEASE}.tar.gz"
    path.parent.mkdir()
    for content in (b"<html>log in to the hotel</html>", archive(FOUND)[:-200]):
        path.write_bytes(content)
        spoken.clips.cache_clear()
        with pytest.raises(files.DataError, match=r"does not hold the recordings.*delete it"):
            spoken.clips()
    path.write_bytes(archive(FOUND))
    assert len(spoken.clips()) == 2
    spoken.clips.cache_clear()


spoken_read = spoken.read


def archive(found):
    """As the dataset's home packs it: other files lie there too."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as packed:
        for name, content in {
            "README.md": b"",
            **{f"recordings/{n}": c for n, c in found.items()},
        }.items():
            member = tarfile.TarInfo(f"free-spoken-digit-dataset-1.0.10/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return held.getvalue()


def test_without_a_mirror_the_archive_is_downloaded(tmp_path, monkeypatch):
    asked = []
    monkeypatch.delenv("ATTNLIB_DATA", raising=False)
    monkeypatch.setenv("ATTNLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(files, "_download", lambda entry: asked.append(entry) or 1 / 0)
    spoken.clips.cache_clear()
    with pytest.raises(ZeroDivisionError):
        spoken.clips()
    assert asked[0].url.endswith("free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz")
    assert asked[0].name == "fsdd/v1.0.10.tar.gz" and not asked[0].sha256


def test_a_held_out_speaker_is_in_no_other_part(monkeypatch):
    many = [tone(d, s, n) for d in (0, 7) for s in spoken.SPEAKERS for n in (0, 4, 5, 49)]
    monkeypatch.setattr(spoken, "clips", lambda: tuple(many))
    parts = {part: spoken.voices("theo", part) for part in ("train", "known", "new")}
    assert sum(map(len, parts.values())) == len(many)
    assert {clip.speaker for clip in parts["new"]} == {"theo"}
    for part, numbers in (("train", {5, 49}), ("known", {0, 4})):
        assert {clip.speaker for clip in parts[part]} == set(spoken.SPEAKERS) - {"theo"}
        assert {clip.number for clip in parts[part]} == numbers
    with pytest.raises(ValueError, match="unknown speaker 'bob': one of george, jackson"):
        spoken.voices("bob", "train")
    with pytest.raises(ValueError, match="unknown part 'val': one of train, known, new"):
        spoken.voices("theo", "val")


# Strings --------------------------------------------------------------------------------------


@given(st.integers(0, 99), st.lists(st.integers(0, 9), min_size=1, max_size=10))
def test_a_string_has_its_recordings_between_its_borders(seed, digits):
    said = [tone(digit, samples=400 + 40 * i) for i, digit in enumerate(digits)]
    string = spoken.join(random.Random(seed), said)
    assert string.digits == tuple(digits) and string.speaker == "george"
    low, high = (round(spoken.RATE * s) for s in spoken.PAUSES)
    ends = (0, *(end for _, end in string.borders))
    firsts = (*(first for first, _ in string.borders), len(string.samples))
    assert all(low <= first - end <= high for first, end in zip(firsts, ends, strict=True))
    silent = np.ones(len(string.samples), bool)
    for (first, end), clip in zip(string.borders, said, strict=True):
        rest = string.samples[first:end] - clip.samples
        assert np.abs(rest).max() < 6 * spoken.NOISE
        silent[first:end] = False
    pauses = string.samples[silent]
    assert 0.5 * spoken.NOISE < pauses.std() < 1.5 * spoken.NOISE  # never exactly silent
    again = spoken.join(random.Random(seed), said)
    assert np.array_equal(string.samples, again.samples)


def test_strings_are_of_one_voice_and_the_same_again():
    found = spoken.strings(random.Random(1), TONES, 60)
    assert {len(one.digits) for one in found} == {3, 4, 5, 6}
    assert {one.speaker for one in found} == {"george", "theo"}
    assert {digit for one in found for digit in one.digits} == set(range(10))
    assert [one.digits for one in spoken.strings(random.Random(1), TONES, 60)] == [
        one.digits for one in found
    ]
    same = spoken.strings(random.Random(1), TONES, 20, 3, 3, repeated=True)
    assert all(len(set(one.digits)) == 1 and len(one.digits) == 3 for one in same)
    with pytest.raises(ValueError, match="need 1 <= shortest <= longest, got 4 and 3"):
        spoken.strings(random.Random(1), TONES, 1, 4, 3)
    with pytest.raises(ValueError, match="one speaker, and at least one digit"):
        spoken.join(random.Random(1), [tone(1), tone(1, "theo")])
    with pytest.raises(ValueError, match="one speaker, and at least one digit"):
        spoken.join(random.Random(1), [])


def test_one_digit_over_and_over_takes_other_recordings_while_there_are_some():
    clips = [tone(7, number=n, samples=1000 + 100 * n) for n in range(5, 8)]
    for seed in range(5):
        (one,) = spoken.strings(random.Random(seed), clips, 1, 5, 5, repeated=True)
        lengths = [end - first for first, end in one.borders]
        assert len(set(lengths[:3])) == 3 and len(set(lengths[3:])) == 2


# What is heard --------------------------------------------------------------------------------


def test_mel_filters_are_triangles():
    filters = spoken.mel_filters().double().numpy()
    f = np.linspace(0, 4000, 129)
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)  # noqa: E731
    step = mel(4000) / 41
    assert filters.shape == (129, 40)
    for m in range(40):
        low, peak, high = (700 * (10 ** ((m + i) * step / 2595) - 1) for i in range(3))
        for row, hertz in zip(filters[:, m], f):
            side = (hertz - low) / (peak - low) if hertz < peak else (high - hertz) / (high - peak)
            assert row == pytest.approx(max(0.0, side), abs=1e-6)


def test_log_mel_is_what_scipy_finds():
    stft = pytest.importorskip("scipy.signal").stft
    samples = spoken.join(random.Random(0), [tone(3), tone(8)]).samples
    _, _, Z = stft(
        samples,
        window=spoken._hann().numpy(),
        nperseg=spoken.WINDOW,
        noverlap=spoken.WINDOW - spoken.HOP,
        nfft=spoken.FFT,
        boundary=None,
        padded=False,
    )
    power = np.abs(Z.T * spoken._hann().numpy().sum()) ** 2  # scipy divides by the window's sum
    want = np.log(power @ spoken.mel_filters().numpy() + 1e-3) / 4
    np.testing.assert_allclose(spoken.log_mel(samples), want, atol=1e-3)


def test_a_tone_is_loudest_in_the_band_of_its_pitch():
    peaks = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42)[1:-1] / 2595) - 1)
    for digit in (1, 5, 9):
        loudest = spoken.log_mel(tone(digit).samples).argmax(-1)
        assert (abs(peaks[loudest] - (300 + 330 * digit)) < 150).all()
    with pytest.raises(ValueError, match="150 samples are less than one frame of 200"):
        spoken.log_mel(np.zeros(150, np.float32))


def test_a_position_knows_when_it_is():
    """A click is loudest in the position whose middle is nearest: late as often as early."""
    late = []
    for sample in range(2000, 4000, 37):
        samples = np.zeros(8000, np.float32)
        samples[sample] = 100.0
        loudest = int(spoken.positions(samples).sum(-1).argmax())
        late.append(spoken.seconds(loudest) - sample / 8000)
    assert max(map(abs, late)) <= 0.0275 and abs(np.mean(late)) < 0.005
    assert spoken.positions(np.ones(210, np.float32)).shape == (1, 160)  # one frame and no stack


def test_a_batch_says_which_positions_lie_inside():
    found = spoken.strings(random.Random(2), TONES, 4, 1, 3)
    sounds = spoken.collate(found)
    assert len(sounds) == 4 and sounds.heard.shape[-1] == spoken.STACK * spoken.BANDS
    assert sounds.target_out.shape == (4, sounds.inside.shape[1] + 1)
    for b, one in enumerate(found):
        T = len(one.digits)
        assert spoken.WORDS.decode(sounds.target_out[b].tolist()) == [
            spoken.DIGITS[digit] for digit in one.digits
        ]
        assert sounds.target_in[b, : T + 1].tolist() == [1, *sounds.target_out[b, :T].tolist()]
        assert not sounds.heard[b, sounds.lengths[b] :].any()
        for t, (first, end) in enumerate(one.borders):
            for s in range(sounds.heard.shape[1]):
                inside = first <= 8000 * spoken.seconds(s) < end
                assert bool(sounds.inside[b, t, s]) == inside
        assert not sounds.inside[b, T:].any()
    with pytest.raises(ValueError, match="no string to collate"):
        spoken.collate([])


# The listener ---------------------------------------------------------------------------------


def small(score="location-aware"):
    return speech.listener(score, seed=3, hidden=6).double().eval()


@pytest.mark.parametrize("score", speech.SCORES)
def test_a_string_does_not_mind_its_batch(score):
    model, sounds = small(score), spoken.collate(spoken.strings(random.Random(3), TONES, 3, 1, 3))
    heard = sounds.heard.double()
    logits, weights = model(heard, sounds.lengths, sounds.target_in)
    mask = padding_mask(sounds.lengths)
    heard[~mask] = 1e3
    again = model(heard, sounds.lengths, sounds.target_in)
    torch.testing.assert_close(again[0], logits, **EXACT)
    for b, S in enumerate(sounds.lengths.tolist()):
        one = slice(b, b + 1)
        alone = model(heard[one, :S], sounds.lengths[one], sounds.target_in[one])
        torch.testing.assert_close(logits[one], alone[0], **EXACT)
        torch.testing.assert_close(weights[one, :, :S], alone[1], **EXACT)
        torch.testing.assert_close(weights[b].sum(-1), torch.ones(weights.shape[1]).double())


def test_the_two_differ_in_the_score_alone():
    content, aware = (speech.listener(score, seed=1) for score in speech.SCORES)
    assert type(content.decoder.attention.score) is AdditiveScore
    assert type(aware.decoder.attention.score) is LocationAwareScore
    sizes = [{n: p.shape for n, p in m.named_parameters()} for m in (content, aware)]
    assert sizes[0].items() < sizes[1].items()
    assert {name.split(".")[-2] for name in sizes[1].keys() - sizes[0].keys()} == {"F", "V"}
    with pytest.raises(ValueError, match="unknown score 'place': one of content, location-aware"):
        speech.listener("place", seed=1)


def test_what_is_no_sound_is_refused():
    model = small()
    with pytest.raises(ValueError, match=r"sounds must be \(B, S, 160\), got \(2, 5, 40\)"):
        model.encode(torch.zeros(2, 5, 40), torch.tensor([5, 5]))
    with pytest.raises(ValueError, match=r"at least 1, got \[5, 0\]"):
        model.encode(torch.zeros(2, 5, 160).double(), torch.tensor([5, 0]))


def test_training_is_the_same_again_and_learns():
    """Tones instead of voices: after some seconds two digits are told apart and looked at."""
    clips = [clip for clip in TONES if clip.digit in (2, 8)]
    twice = [
        speech.fit(speech.listener("location-aware", 1, hidden=16), clips, 3, seed=5, batch=4)
        for _ in range(2)
    ]
    for one, other in zip(*(model.parameters() for model in twice), strict=True):
        assert torch.equal(one, other)
    model = speech.listener("location-aware", 1, hidden=16)
    speech.fit(model, clips, 100, seed=1, lr=0.01, batch=16, lengths=(1, 3))
    assert not model.training
    sounds = spoken.collate(spoken.strings(random.Random(9), clips, 40, 2, 3))
    found = speech.error_rate(model, sounds)
    assert found["errors"] < 0.2 and abs(found["length"]) < 0.3
    fresh = speech.error_rate(speech.listener("location-aware", 1, hidden=16).eval(), sounds)
    assert fresh["errors"] > 0.5


# Measures -------------------------------------------------------------------------------------


@given(*[st.lists(st.integers(0, 2), max_size=6)] * 2)
def test_edits_are_the_fewest(said, written):
    def fewest(a, b):  # by its definition
        if not a or not b:
            return len(a) + len(b)
        changed = fewest(a[1:], b[1:]) + (a[0] != b[0])
        return min(changed, fewest(a[1:], b) + 1, fewest(a, b[1:]) + 1)

    assert speech.edits(said, written) == fewest(said, written) == speech.edits(written, said)


def test_errors_and_alignment_by_hand(monkeypatch):
    sounds = spoken.collate([spoken.join(random.Random(0), [tone(d) for d in (7, 7, 2)]),
                             spoken.join(random.Random(1), [tone(1)])])  # fmt: skip
    monkeypatch.setattr(speech, "write_down", lambda *_: [["seven", "two"], ["one"]])
    assert speech.error_rate(None, sounds) == {"errors": 0.25, "wrong": 0.5, "length": -0.5}
    inside = sounds.inside.double()
    perfect = inside / inside.sum(-1, keepdim=True).clamp(min=1)
    ends = torch.full((2, 1, inside.shape[-1]), 1 / inside.shape[-1])
    with_end = torch.cat([perfect, ends], 1)
    assert speech.alignment(with_end, sounds) == pytest.approx({"inside": 1.0, "missed": 0.0})
    late = torch.cat([perfect[:, 1:2], perfect[:, 1:2], perfect[:, 2:]], 1)  # skips the first seven
    got = speech.alignment(late, sounds)
    assert got == pytest.approx({"inside": 0.5, "missed": 0.5})  # of the digits 7, 7, 2 and 1
