"""A verdict in words: first the answer, then its figures, what it is about, and the details."""

from collections.abc import Sequence

from evenface.experiment.differences import MIN_CLASS_IMAGES
from evenface.experiment.intervals import LARGEST
from evenface.experiment.result import (
    Arm,
    Before,
    Contrast,
    Dose,
    Readings,
    Result,
    Round,
    WonBack,
    Worth,
)
from evenface.experiment.roles import CONTROLS
from facekit.spelling import count

ABOUT = {
    "method": "of other splits and other GANs, too",
    "split": "of other GANs, too, on these test images",
    "gan": "of this GAN and this split only",
    "nothing": "of nothing but these networks",
}
SUBJECT = "synthetic faces"
MAX_REASONS = 2  # in the answer; the rest is told below it
TOLERANCE = 0.005  # of a dose, that is not told
WEAK_CONTROL = 0.5  # share of wrong labels below which shuffling says little


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Return parts as a list in words: `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def capital(text: str) -> str:
    """Return a sentence with a capital at its start."""
    return text[:1].upper() + text[1:]


def percent(share: float) -> str:
    """Return a share as a percentage with as many digits as it has."""
    return f"{100 * share:.10g}%"


# --- why there is no answer -------------------------------------------------------------------


def few_images(name: str, num: int, num_units: int) -> str:
    """Return that a class has too few test images in the round that has fewest.

    Args:
        name: of the class.
        num: images of it.
        num_units: persons and clusters that these are of, where they are what is too few.
    """
    images = f"class {name} has {count(num, 'test image')}"
    if num < MIN_CLASS_IMAGES:
        return f"{images} in a round, fewer than {MIN_CLASS_IMAGES}"
    people = "person or cluster" if num_units == 1 else "persons or clusters"
    return (
        f"{images} of {num_units} {people}, fewer than {MIN_CLASS_IMAGES}, and there is no other"
        " test part"
    )


def first_of(reasons: Sequence[str]) -> str:
    """Return the first reasons, and how many more there are."""
    shown = list(reasons[:MAX_REASONS])
    rest = len(reasons) - len(shown)
    return listed([*shown, f"for {count(rest, 'more reason')}"] if rest else shown)


NO_REPETITION = "each arm was trained once, so that chance in training was never seen"


def no_better_than_chance(
    baseline: str, value: float, low: float, high: float, guess: float
) -> str:
    """Return that the baseline has learned nothing that could be better or worse."""
    return (
        f"{baseline} is no better than naming the most frequent class: balanced accuracy"
        f" {value:.3f} [{low:.3f}, {high:.3f}], that of a guess {guess:.3f}"
    )


def label_of(arm: str, dose: Dose | None) -> str:
    """Return an arm's name, with the dose where it did not reach its own."""
    if dose is None or dose.reached is None or dose.nominal - dose.reached < TOLERANCE:
        return arm
    return f"{arm} ({dose.reached:.2f} reached)"


def opponent(arm: str, best: str | None) -> str:
    """Return an opponent's name, and whether it is the best arm without synthesis."""
    return f"{arm} (the best without synthesis)" if arm == best else arm


# --- the answer -------------------------------------------------------------------------------


def help_sentence(arm: Arm, reasons: Sequence[str], best: str | None) -> str:
    """Return whether synthetic images help, one sentence.

    Args:
        arm: with synthetic images, compared with baseline and opponents.
        reasons: why it cannot be told.
        best: the best arm without synthesis.
    """
    help_, base = arm.help, arm.difference
    assert help_ is not None and base is not None
    if reasons:
        return f"Whether {SUBJECT} help cannot be told: {first_of(reasons)}."
    above: list[str] = []
    others: list[str] = []
    for one in (base, *help_.against):
        name = opponent(one.against, best)
        (above if one.verdict == "better" else others).append(name)
    if help_.answer == "helps":
        return f"{capital(SUBJECT)} help: {arm.label} is better than {listed(above)}."
    if base.verdict == "worse":
        return f"{capital(SUBJECT)} do not help: {arm.label} is worse than {base.against}."
    if base.verdict == "none":
        return (
            f"{capital(SUBJECT)} were not found to help: no difference between {arm.label} and"
            f" {base.against} was found."
        )
    if others:
        return (
            f"{capital(SUBJECT)} were not found to help: {arm.label} is better than"
            f" {listed(above)}, but was not found to be better than {listed(others, 'or')}."
        )
    return (
        f"Whether {SUBJECT} help cannot be told: {arm.label} is better than {listed(above)}, but"
        f" was not tested against {listed(help_.missing, 'or')}."
    )


def arm_sentence(arm: Arm, reasons: Sequence[str]) -> str:
    """Return whether an arm without synthetic images helps, one sentence."""
    found = arm.difference
    assert found is not None
    if reasons:
        return f"Whether {arm.label} helps cannot be told: {first_of(reasons)}."
    if found.verdict == "better":
        return f"{arm.label} helps: it is better than {found.against}."
    if found.verdict == "worse":
        return f"{arm.label} does not help: it is worse than {found.against}."
    return f"{arm.label} was not found to help: no difference from {found.against} was found."


VERBS = {
    "better": "is better than",
    "worse": "is worse than",
    "none": "was not found to differ from",
}


def control_sentence(arm: Arm, reasons: Sequence[str]) -> str:
    """Return what a control shows that was declared as what is asked about, one sentence."""
    found = arm.difference
    assert found is not None
    if reasons:
        return f"What the control {arm.label} shows cannot be told: {first_of(reasons)}."
    verb = VERBS[found.verdict]
    return (
        f"{capital(arm.label)} {verb} {found.against}; a control, it is no way to treat imbalance."
    )


def nothing_compared(baseline: Arm, others: Sequence[str]) -> str:
    """Return that no arm is there to be asked about, one sentence."""
    text = f"{baseline.arm} has {baseline.mean:.3f}; there is nothing to compare with"
    if not others:
        return f"{text}."
    are = "is a control" if len(others) == 1 else "are controls"
    return f"{text}, since {listed(others)} {are}."


# --- figures ----------------------------------------------------------------------------------


def p_words(p: float | None, name: str = "p") -> str:
    """Return a p in words, empty where there is none."""
    if p is None:
        return ""
    return f"{name} < 0.001" if p < 0.001 else f"{name} = {p:.3f}"


def deciding_p(found: Contrast) -> str:
    """Return the p that the verdict goes by: of an exploratory comparison the corrected one."""
    return p_words(found.corrected_p, "corrected p" if found.role == "exploratory" else "p")


def figures(found: Contrast, confidence: float, rounds: Sequence[Round]) -> str:
    """Return the difference with interval, p, what it is true of, and what could be seen."""
    parts = [
        f"difference {found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        f" ({percent(confidence)} interval)"
    ]
    if found.claim == "nothing":
        parts[0] += ", which counts test images alone"
    elif found.p is not None:
        also = p_words(found.permutation_p, "permutation p")
        parts.append(f"{deciding_p(found)} ({also})")
    parts.append(f"it speaks {ABOUT[found.claim]}")
    num_seeds = len(rounds[0].seeds)
    basis = f"{count(len(rounds), 'round')}, {count(num_seeds, 'seed')} each"
    text = f"{capital(', '.join(parts))}; {basis}."
    if found.verdict == "none" and found.detectable:
        seen = f"one of {found.detectable:.3f} or more would have been"
        if found.detectable >= LARGEST:
            seen = "however large, none would have been"
        text += f" No difference was found; {seen}, in 4 of 5 cases."
    return text


def short(found: Contrast) -> str:
    """Return a comparison in a few words."""
    verdict = {
        "none": "no difference found",
        "unclaimed": "nothing can be said",
        "withheld": "withheld",
    }.get(found.verdict, found.verdict)
    p = deciding_p(found)
    ends = f"[{found.low:+.3f}, {found.high:+.3f}]"
    p = f", {p}" if p and found.claim != "nothing" else ""
    seen = ""
    if found.verdict == "none" and found.detectable:
        seen = f", {found.detectable:.3f} would have been found"
        if found.detectable >= LARGEST:
            seen = ", none would have been found, however large"
    return f"{verdict}, {found.difference:+.3f} {ends}{p}{seen}"


def support_words(rounds: Sequence[Round], num_images: int, num_units: int) -> str:
    """Return how many test images there are."""
    text = count(num_images, "test image")
    if num_units < num_images:
        text += f" of {num_units:,} persons or clusters"
    least = min(
        ((num, name, one.round) for one in rounds for name, num in one.support.items()),
        default=None,
    )
    if least is not None:
        text += f"; the fewest of a class in a round: {least[0]} ({least[1]})"
    return f"{text}."


def dose_words(dose: Dose, num_doses: int = 1) -> str:
    """Return the dose, said and reached, and of how many val chose it."""
    text = f"Dose: {dose.nominal:.2f} of what rare classes lack"
    if num_doses > 1:
        text += f" (the best of {num_doses} on val)"
    if dose.reached is None:
        return f"{text}; what was reached is not recorded."
    span = ""
    if dose.low is not None and dose.high is not None and dose.high - dose.low >= TOLERANCE:
        span = f" ({dose.low:.2f} to {dose.high:.2f} by round)"
    return f"{text}, {dose.reached:.2f} reached{span}."


def mislabelled_words(share: float, head: str) -> str:
    """Return how much of a control shuffled labels are, by the share of them that is wrong."""
    if not share:
        return f"no control: all its images are of one {head}, so that no label is wrong"
    weak = "a weak control: " if share < WEAK_CONTROL else ""
    return f"{weak}of its images {share:.0%} are said to be of another {head} than was drawn"


def surest_words(found: Result) -> str:
    """Return which arm to take, by what was found."""
    arm = next((one for one in found.arms if one.arm == found.surest), None)
    if arm is None or arm.difference is None:
        return f"Of all arms, none was found to be better than {found.baseline}."
    gap = arm.difference
    role = ", exploratory" if gap.role == "exploratory" else ""
    text = (
        f"Of all arms, the gain of {arm.label} over {found.baseline} is the surest:"
        f" {gap.difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]{role}"
    )
    simpler = arm.help.not_beaten if arm.help else []
    if simpler:
        text += f"; but it was not found to be better than {listed(simpler, 'or')}, without a GAN"
    return f"{text}."


def won_back_words(found: WonBack) -> str:
    """Return which share of the gain of images that were held back an arm reaches."""
    if found.share is None or found.low is None or found.high is None:
        return "The images that were held back were not seen to help, when they were returned."
    return (
        f"{capital(found.arm)} wins back {found.share:.0%} ({found.low:.0%} to {found.high:.0%}) of"
        " what the real images that were held back give."
    )


def worth_words(worth: Worth) -> str:
    """Return what an arm does for a class, in photographs."""
    if worth.photographs is None or worth.low is None or worth.high is None:
        return (
            f"{capital(worth.arm)} for {worth.of_class}: more photographs were not seen to help"
            " either, so that it cannot be counted in them."
        )
    most = " or more" if worth.is_more else ""
    fewer = "fewer" if worth.photographs < 0 else "more"
    return (
        f"{capital(worth.arm)} does for {worth.of_class} as much as"
        f" {abs(round(worth.photographs)):,} photographs {fewer} than the {worth.count:,} that"
        f" there are would ({round(worth.low):+,} to {round(worth.high):+,}{most})."
    )


def before_words(before: Before, main: str, num_images: int) -> str:
    """Return the main comparison by the labels before their review."""
    found = next(one for one in before.differences if one.arm == main)
    changed = count(before.num_changed, "test label")
    return f"{changed} of {num_images:,} changed in review; without the changes: {short(found)}."


def ledger_words(ledger: Readings) -> str:
    """Return how often the test part has been read."""
    if ledger.readings == 1:
        text = "The test part has been read once."
    else:
        by = "the same settings"
        if ledger.settings > 1:
            by = f"{ledger.settings} different settings"
        text = f"The test part has been read {ledger.readings} times by {by}."
    if ledger.damaged:
        lines = listed([str(number) for number in ledger.damaged])
        text += f" Lines of the ledger that cannot be read, and are not counted: {lines}."
    return text


# --- all of it --------------------------------------------------------------------------------


def verdict_text(found: Result) -> str:
    """Return the verdict: the answer, its figures, what it was compared with, the details."""
    start = f"Task {found.task}" + (", exploratory" if found.role == "exploratory" else "")
    lines = [f"{start}: {found.sentence}"]
    main = next((one for one in found.arms if one.arm == found.main), None)
    reasons = [*found.withheld, *(main.withheld if main else [])]
    if len(reasons) > MAX_REASONS:
        lines.append(f"Why it cannot be told: {'; '.join(reasons)}.")
    support = support_words(found.rounds, found.num_images, found.num_units)
    if main is None or main.difference is None:
        lines.append(support)
    else:
        base = next(one for one in found.arms if one.arm == found.baseline)
        lines.append(
            f"{capital(found.measured)}: {main.mean:.3f} ({main.label}) and {base.mean:.3f}"
            f" ({base.arm}). {figures(main.difference, found.confidence, found.rounds)}"
            f" {support}"
        )
        lines += _main_lines(found, main)
    if found.doubts:
        lines.append(f"The experiment is in doubt: {'; '.join(found.doubts)}.")
    others = [one for one in found.arms if one.difference is not None and one is not main]
    controls = [one for one in others if one.kind in CONTROLS]
    tried = [one for one in others if one not in controls]
    for what, family in (("Exploratory", tried), ("Controls", controls)):
        if family:
            lines.append(f"{what}, corrected together (Holm):")
        for one in family:
            assert one.difference is not None
            text = f"{one.label} against {found.baseline}: {short(one.difference)}"
            if one.mislabelled is not None:
                text += f" ({mislabelled_words(one.mislabelled, found.head)})"
            if one.withheld:
                text += f" ({listed(one.withheld)})"
            lines.append(f"- {text}.")
    if others and not found.withheld:
        lines.append(surest_words(found))
    lines += [won_back_words(one) for one in found.won_back if one.arm == found.main]
    lines += [worth_words(one) for one in found.worth if one.arm == found.main]
    if found.before is not None and found.main is not None:
        lines.append(before_words(found.before, found.main, found.num_images))
    if found.ledger is not None:
        lines.append(ledger_words(found.ledger))
    return "\n".join(lines)


def _main_lines(found: Result, main: Arm) -> list[str]:
    """Return dose and opponents of the arm that the answer is about."""
    lines = []
    if main.dose is not None:
        lines.append(dose_words(main.dose, found.num_doses))
    if main.help is not None:
        parts = [f"{opponent(one.against, found.best)}: {short(one)}" for one in main.help.against]
        if found.best == found.baseline:
            parts.insert(0, f"{found.best} is the best arm without synthesis")
        parts += [f"not tested against {one}" for one in main.help.missing]
        if parts:
            lines.append(f"Opponents: {'; '.join(parts)}.")
    return lines
