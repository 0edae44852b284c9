"""Pascal VOC files for tests, valid or not."""

from pathlib import Path

TEMPLATE = """<annotation>
  <filename>{file}</filename>
  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>
  <object>
    <name>{name}</name>
    <bndbox><xmin>{x_min}</xmin><ymin>{y_min}</ymin><xmax>{x_max}</xmax><ymax>{y_max}</ymax></bndbox>
  </object>
</annotation>
"""


def write_annotation(
    path: Path,
    name: str = "with_mask",
    box: tuple = (1, 2, 9, 9),
    size: tuple = (30, 20),
    file: str = "a.jpg",
) -> Path:
    """Write one face as other programs do. All values are inserted as they are, wrong ones too."""
    x_min, y_min, x_max, y_max = box
    width, height = size
    text = TEMPLATE.format(
        file=file,
        width=width,
        height=height,
        name=name,
        x_min=x_min,
        y_min=y_min,
        x_max=x_max,
        y_max=y_max,
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path
