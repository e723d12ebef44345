r"""How a parameter is written: `$\lambda_2$` in LaTeX, `λ₂` everywhere else.

A name between dollars is a symbol, in LaTeX; any other is the one that the code has.
"""

import re
import unicodedata

_SUBSCRIPTS = str.maketrans(
    "0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
)
_SUPERSCRIPTS = str.maketrans("0123456789+-=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")
_WORDS = {
    "lambda": "λ",
    "varepsilon": "ε",
    "varphi": "φ",
    "infty": "∞",
    "ell": "ℓ",
    "cdot": "·",
    "prime": "′",
    "le": "≤",
    "ge": "≥",
}
_ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307"}
_SPACES = r"\\[,;!: ]|~"
_FUNCTIONS = ("log", "exp", "ln", "Pr", "sin", "cos", "min", "max")
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\n": " ",
    "\r": " ",
    **{x: f"\\{x}" for x in "&%$#_{}"},
}


def is_symbol(name: str) -> bool:
    """Tell whether a name is LaTeX, between dollars."""
    return len(name) > 2 and name.startswith("$") and name.endswith("$")


def escape(text: str) -> str:
    """Write plain text so that LaTeX prints it as it is."""
    return "".join(_ESCAPES.get(x, x) for x in text)


def in_latex(name: str) -> str:
    """Write a word for LaTeX: a symbol as it is, an index below, all else escaped."""
    if is_symbol(name):
        return name
    match = re.fullmatch(r"(.+?)\[([\d, ]+)\]", name)
    if match is None or not re.fullmatch(r"\w+", match[1], re.ASCII):
        return escape(name)  # mathematics has no such letters
    upright = r"\mathrm{" + escape(match[1]) + "}"
    return f"${upright}_{{{match[2].replace(' ', '')}}}$"


def in_unicode(name: str) -> str:
    r"""Write a parameter in plain text: its symbol in Unicode, else its name.

    `$\lambda_2$` is `λ₂`, `$\log\sigma_1$` is `log σ₁`. What has no sign of its own,
    such as the index of `$\beta_{xz}$`, stays as it is: `β_xz`.
    """
    if not is_symbol(name):
        return name
    text = re.sub(_SPACES, " ", name[1:-1])
    text = re.sub(
        r"\\(?:mathrm|mathbf|mathit|text|operatorname)\s*{([^{}]*)}", r"\1", text
    )
    for word, mark in _ACCENTS.items():
        text = re.sub(
            rf"\\{word}\s*{{?(\\[A-Za-z]+|[A-Za-z])}}?",
            lambda found, mark=mark: _sign(found[1]) + mark,
            text,
        )
    functions = "|".join(_FUNCTIONS)
    text = re.sub(rf"\\({functions})(?![A-Za-z])\s*(?=[\\A-Za-z])", r"\1 ", text)
    text = re.sub(r"\\[A-Za-z]+\s*", lambda found: _sign(found[0].strip()), text)
    # After the commands, so that an index may be one of them.
    text = _shift(text, "_", _SUBSCRIPTS)
    text = _shift(text, r"\^", _SUPERSCRIPTS)
    return re.sub(" +", " ", text.replace("{", "").replace("}", "")).strip()


def _sign(word: str) -> str:
    r"""Return the sign that a command such as `\lambda` prints, else its name."""
    name = word.removeprefix("\\")
    if name in _WORDS or not word.startswith("\\"):
        return _WORDS.get(name, name)
    case = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {name.upper()}")
    except KeyError:
        return name


def _shift(text: str, mark: str, signs: dict[int, int]) -> str:
    """Write indices and powers in signs of that size, where all of it has one."""

    def write(found: re.Match[str]) -> str:
        inside = found[1] if found[1] is not None else found[2]
        if all(ord(x) in signs for x in inside):
            return inside.translate(signs)
        return f"{mark.lstrip(chr(92))}{inside}"

    return re.sub(rf"{mark}(?:{{([^{{}}]*)}}|(.))", write, text)
