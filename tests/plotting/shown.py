"""What a figure shows, to compare with what it was made from."""


def texts(figure):
    artists = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(text.get_text() for text in artists).replace("\n", " ")


def assert_within_its_page(figure):
    assert figure._repr_png_().startswith(b"\x89PNG")  # lays it out
    box, page = figure.get_tightbbox(), figure.bbox_inches
    assert min(box.x0, box.y0) >= -0.01
    assert box.x1 <= page.x1 + 0.01
    assert box.y1 <= page.y1 + 0.01


def lines(axes):
    """The lines of a panel by their name in the legend, error bars' among them."""
    handles, labels = axes.get_legend_handles_labels()
    return {label: getattr(handle, "lines", [handle])[0] for handle, label in zip(handles, labels, strict=True)}
