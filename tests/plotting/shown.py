"""What a figure shows, to compare with what it was made from."""


def texts(figure):
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(text.get_text() for text in found).replace("\n", " ")


def lines(axes):
    """The lines of a panel by their name in the legend, error bars' among them."""
    handles, labels = axes.get_legend_handles_labels()
    return {label: getattr(it, "lines", [it])[0] for it, label in zip(handles, labels, strict=True)}
