"""The ground floor: what every package of Evenface stands on, and what knows none of them.

Settings are classes of options; what cannot be used raises DataError, whose text is one line:

    import facekit
    from facekit.options import Count, Share


    class CropOptions(facekit.Options):
        \"""How pictures are cropped.\"""

        margin: Share = facekit.option(0.1, "Share of each side that is cut off.")
        num_crops: Count = facekit.option(1, "Crops of each picture.")


    print(CropOptions(margin="0.2").plain())
    try:
        CropOptions.read({"margin": 2}, "crops")
    except facekit.DataError as error:
        print(error)
"""

from facekit.offering import offer

__getattr__, __dir__, __all__ = offer(__name__)
