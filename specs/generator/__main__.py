"""Rewrites every generated file: `python -m specs.generator`, or `make docs`."""

from specs.generator.files import generate
from specs.generator.source import ROOT


def main() -> None:
    for path, text in generate().items():
        if path.read_text() != text:
            path.write_text(text)
            print("wrote", path.relative_to(ROOT))


if __name__ == "__main__":
    main()
