"""Strings of spoken digits whose borders are known, from the Free Spoken Digit Dataset.

3,000 recordings: six men say the English digits zero to nine, 50 times each (Jakobovski and
contributors, CC BY-SA 4.0; downloaded on first use). `strings` joins some of one speaker with short
pauses; where one recording ends and the next begins is then known to the sample, and with it which
part of the sound each digit should be read from.

What a model hears is `log_mel`: the loudness of 40 bands of pitch, 100 times a second. Four of
these frames make one position, so that a digit is some eleven positions long.
"""

import functools
import hashlib
import io
import lzma
import random
import tarfile
import wave
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnlib.data import files
from attnlib.data.batches import pad
from attnlib.data.tokenizer import BOS, EOS
from attnlib.data.toy import Vocabulary

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = Vocabulary(DIGITS)
RELEASE = "v1.0.10"
RECORDINGS = "04e1baae96c6a26e39c623f2b01d0182ddae627ba0ac02a3cdc17ba2af99fd9b"  # see `read`
RATE = 8000  # samples a second
LONGEST = RATE  # samples; 20 recordings are longer: a pause, then a click
TESTED = range(5)  # numbers of the recordings that the dataset keeps for testing
PAUSES = (0.03, 0.2)  # seconds between two digits, and before the first and after the last
NOISE = 0.01  # of a recording's level: no pause is silent, or silence would be a border post
WINDOW, HOP, BANDS, FFT = 200, 80, 40, 256  # samples; bands of pitch
FLOOR, SPREAD = 1e-3, 4.0  # of the energies; about the standard deviation of their logarithms
STACK = 4  # frames in one position


@dataclass(frozen=True, eq=False)
class Clip:
    """One recording: samples (N,) with mean square 1, of one digit."""

    digit: int
    speaker: str
    number: int
    samples: np.ndarray


@dataclass(frozen=True, eq=False)
class Spoken:
    """A string of T digits in one voice: samples (N,), and (first, end) of each digit in it."""

    digits: tuple[int, ...]
    speaker: str
    samples: np.ndarray
    borders: tuple[tuple[int, int], ...]


# Recordings -----------------------------------------------------------------------------------


@functools.cache
def clips() -> tuple[Clip, ...]:
    """All recordings of at most a second, by digit, speaker and number.

    Raises
    ------
    DataError
        If they cannot be had, or are not those we know.
    """
    path = files.in_mirror(files.SPEECH_ARCHIVE)
    if path is None:
        name = f"{RELEASE}.tar.gz"
        path = files.fetch_unchecked(f"fsdd/{name}", files.SPEECH_HOME + name)
    try:
        with tarfile.open(path) as archive:
            found = {}
            for member in archive:
                *_, folder, name = ("", *member.name.split("/"))
                content = archive.extractfile(member) if folder == "recordings" else None
                if content is not None:
                    found[name] = content.read()
        return read(found)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise files.DataError(
            f"{path} does not hold the recordings ({reason}): delete it"
        ) from error


def read(found: Mapping[str, bytes], expected: str = RECORDINGS) -> tuple[Clip, ...]:
    """The clips of wav files by name, such as ``7_jackson_32.wav``.

    Parameters
    ----------
    expected : str
        The sha256 of what ``sha256sum recordings/*`` prints for them.

    Raises
    ------
    ValueError
        If it is another: a file is missing, added or altered.
    """
    names = sorted(found)
    sums = [f"{hashlib.sha256(found[name]).hexdigest()}  recordings/{name}\n" for name in names]
    digest = hashlib.sha256("".join(sums).encode()).hexdigest()
    if digest != expected:
        raise ValueError(f"{len(names)} recordings with sha256 {digest}, not {expected}")
    kept = []
    for name in names:
        digit, speaker, number = name.removesuffix(".wav").split("_")
        with wave.open(io.BytesIO(found[name])) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)
        if len(samples) <= LONGEST:  # one voice is 16 times as loud as another: level them
            level = np.sqrt(np.mean(samples**2))
            kept.append(Clip(int(digit), speaker, int(number), samples / level))
    return tuple(sorted(kept, key=lambda clip: (clip.digit, clip.speaker, clip.number)))


def voices(held_out: str, part: str) -> tuple[Clip, ...]:
    """The clips of a part, when one speaker is held out.

    Parameters
    ----------
    held_out : str
        One of `SPEAKERS`.
    part : str
        ``train``: the other five, numbers 5 to 49; ``known``: the same five, numbers 0 to 4, which
        are the dataset's own test set; ``new``: all recordings of the speaker held out.

    Raises
    ------
    ValueError
        If the speaker or the part is unknown.
    """
    if held_out not in SPEAKERS:
        raise ValueError(f"unknown speaker {held_out!r}: one of {', '.join(SPEAKERS)}")
    chosen = {
        "train": lambda clip: clip.speaker != held_out and clip.number not in TESTED,
        "known": lambda clip: clip.speaker != held_out and clip.number in TESTED,
        "new": lambda clip: clip.speaker == held_out,
    }
    if part not in chosen:
        raise ValueError(f"unknown part {part!r}: one of {', '.join(chosen)}")
    return tuple(filter(chosen[part], clips()))


# Strings --------------------------------------------------------------------------------------


def join(rng: random.Random, said: Sequence[Clip]) -> Spoken:
    """Recordings of one speaker one after another, with pauses between, before and after.

    Noise lies over all of it. The borders of a digit are those of its recording, which was trimmed
    by its makers.

    Raises
    ------
    ValueError
        If there is none, or the speakers differ.
    """
    if len({clip.speaker for clip in said}) != 1:
        raise ValueError("a string has one speaker, and at least one digit")
    parts, borders, at = [], [], 0
    for clip in said:
        pause = round(RATE * rng.uniform(*PAUSES))
        borders.append((at + pause, at + pause + len(clip.samples)))
        parts += [np.zeros(pause, np.float32), clip.samples]
        at = borders[-1][1]
    samples = np.concatenate([*parts, np.zeros(round(RATE * rng.uniform(*PAUSES)), np.float32)])
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(samples), np.float32)
    digits = tuple(clip.digit for clip in said)
    return Spoken(digits, said[0].speaker, samples + NOISE * noise, tuple(borders))


def strings(
    rng: random.Random,
    clips: Sequence[Clip],
    count: int,
    shortest: int = 3,
    longest: int = 6,
    repeated: bool = False,
) -> list[Spoken]:
    """Strings of random digits, each in one random voice.

    Parameters
    ----------
    rng : random.Random
    clips : sequence of Clip
        What is joined; see `voices`.
    count : int
    shortest, longest : int
        The number of digits is uniform between the two.
    repeated : bool
        One digit over and over ("seven seven seven"), each time from another recording as far as
        there are enough.

    Raises
    ------
    ValueError
        Unless ``1 <= shortest <= longest``.
    """
    if not 1 <= shortest <= longest:
        raise ValueError(f"need 1 <= shortest <= longest, got {shortest} and {longest}")
    by: dict[str, dict[int, list[Clip]]] = {}
    for clip in clips:
        by.setdefault(clip.speaker, {}).setdefault(clip.digit, []).append(clip)
    found = []
    for _ in range(count):
        voice = by[rng.choice(sorted(by))]
        T = rng.randint(shortest, longest)
        if repeated:
            same = voice[rng.choice(sorted(voice))]
            said = [clip for _ in range(-(-T // len(same))) for clip in rng.sample(same, len(same))]
        else:
            said = [rng.choice(voice[rng.choice(sorted(voice))]) for _ in range(T)]
        found.append(join(rng, said[:T]))
    return found


# What is heard --------------------------------------------------------------------------------


def mel_filters() -> Tensor:
    """Triangles (FFT / 2 + 1, BANDS), equally far apart in mel, 2595 log10(1 + f / 700).

    Band m rises from the peak of band m - 1 to 1 and falls to the peak of band m + 1 (O'Shaughnessy
    1987 has the scale; the triangles are those of Davis and Mermelstein 1980).
    """
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    peaks = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)  # Hz
    f = np.linspace(0, RATE / 2, FFT // 2 + 1)[:, None]
    rising = (f - peaks[:-2]) / np.diff(peaks)[:-1]
    falling = (peaks[2:] - f) / np.diff(peaks)[1:]
    return torch.tensor(np.clip(np.minimum(rising, falling), 0, None), dtype=torch.float32)


def log_mel(samples: np.ndarray) -> Tensor:
    """Log energies of samples (N,) in bands of pitch, over `SPREAD`: (frames, BANDS).

    A frame is `WINDOW` samples (25 ms) under a Hann window, one every `HOP` (10 ms). A band is not
    centred on its mean over the string, as is often done against the sound of a room: of "seven
    seven seven" that would take away the seven.

    Raises
    ------
    ValueError
        If there is not one frame.
    """
    if len(samples) < WINDOW:
        raise ValueError(f"{len(samples)} samples are less than one frame of {WINDOW}")
    frames = torch.as_tensor(samples).unfold(0, WINDOW, HOP) * _hann()
    power = torch.fft.rfft(frames, FFT).abs().square()  # (frames, FFT / 2 + 1)
    return (power @ _filters() + FLOOR).log() / SPREAD


_filters = functools.cache(mel_filters)
_hann = functools.cache(lambda: torch.hann_window(WINDOW))


def positions(samples: np.ndarray) -> Tensor:
    """`STACK` frames of `log_mel` side by side, none in two positions: (S, STACK * BANDS)."""
    bands = log_mel(samples)
    S = max(1, len(bands) // STACK)
    bands = torch.nn.functional.pad(bands, (0, 0, 0, max(0, STACK - len(bands))))
    return bands[: S * STACK].reshape(S, -1)


def seconds(position) -> float:
    """The middle of a position, in seconds from the start."""
    return (HOP * (STACK * position + (STACK - 1) / 2) + WINDOW / 2) / RATE


@dataclass(frozen=True)
class Sounds:
    """N strings as tensors, padded to the longest.

    heard (N, S, D) and lengths (N,); target_in and target_out (N, T + 1), ids of `WORDS` after <s>
    and before </s>; inside (N, T, S), True for the positions whose middle lies in the recording of
    each digit.
    """

    heard: Tensor
    lengths: Tensor
    target_in: Tensor
    target_out: Tensor
    inside: Tensor

    def __len__(self):
        return len(self.heard)


def collate(found: Sequence[Spoken]) -> Sounds:
    """Make one batch of strings.

    Raises
    ------
    ValueError
        If there is no string.
    """
    if not found:
        raise ValueError("there is no string to collate")
    heard = [positions(one.samples) for one in found]
    ids = [WORDS.encode([DIGITS[digit] for digit in one.digits]) for one in found]
    target_in, _ = pad([[BOS, *row] for row in ids])
    target_out, _ = pad([[*row, EOS] for row in ids])
    S = max(map(len, heard))
    middles = RATE * np.array([seconds(s) for s in range(S)])
    inside = torch.zeros(len(found), target_in.shape[1] - 1, S, dtype=torch.bool)
    for rows, one in zip(inside, found, strict=True):
        for row, (first, end) in zip(rows, one.borders):
            row.copy_(torch.as_tensor((first <= middles) & (middles < end)))
    return Sounds(
        torch.nn.utils.rnn.pad_sequence(heard, batch_first=True),
        torch.tensor([len(each) for each in heard]),
        target_in,
        target_out,
        inside,
    )
