"""The public data sets that trained the models: ``fetch_public_sets`` brings them to ``data/raw``.

``archives`` downloads and checks the archives of GitHub, ``fetch`` runs through the sets, and
``convert`` writes their images and boxes in the project's layout.
"""

from utils.collect.public_sets.archives import GITHUB, PublicSetError
from utils.collect.public_sets.fetch import FOLDERS, MASKEDFACE_PAGE, fetch_public_sets

__all__ = ["FOLDERS", "GITHUB", "MASKEDFACE_PAGE", "PublicSetError", "fetch_public_sets"]
