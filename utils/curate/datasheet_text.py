"""What a datasheet says of every data set that is made this way: the words around its numbers."""

from __future__ import annotations

ORIGIN = """
*Written on {day} from the tables of the data set, after Gebru et al., “Datasheets for Datasets” (2021): every number
is counted, none is typed. When the tables change, write it again.*
"""
NO_MOTIVATION = """
Nobody has written down why it was made, by whom and who paid for it: ask before you use it.
"""
LICENCE = """
**A filter is no licence.** It is what Bing guesses of a web page, not a permission by those who made a picture, and
still less by those whom it shows. Before a picture is shown or passed on, its page must be read.
"""
KAPPA = """
How far two labellers agree on the faces that both labelled. Cohen's kappa is 1 where they always agree and 0 where
they agree as often as chance would have it; where they used a single class, or have no face in common, it is
undefined.
"""
NOT_RECORDED = """
Age, sex, skin colour, dress, health and place are recorded nowhere, on purpose: nobody was asked, and to guess them
from a face is among the uses that are ruled out below. So no number here says whether this data set is fair to
anyone. Look at the faces of each class on the contact sheet, and ask who is not there: children and old people; dark
skin and light; beards, glasses, veils, headscarves, turbans and hats; faces turned away, half covered or badly lit;
masks that are black, patterned, see-through or the colour of skin; hands and scarves in front of mouths; places where
masks are worn otherwise. And the web itself leaves people out: those whom nobody photographs, and who put no pictures
of themselves there.
"""
USES = """
It is made to learn and to test whether a face in a photograph wears a mask, and wears it well. It must not be used

- to recognise people or find them again elsewhere, or to learn a model that does;
- to guess identity, age, sex, origin, belief, health or mood from a face;
- to admit, refuse, fine or accuse anyone without a person who looks and decides, or to watch people who were not told;
- as proof that a model works for people who are missing here;
- as a collection of pictures to be shown or passed on: the people in it were not asked.
"""
REBUILD = """
Images cannot be passed on with it; a list of addresses and SHA-256 hashes can (`provenance.write_share_list`). From
such a list, `python -m utils.collect.rebuild LIST FOLDER` fetches each image again and keeps it only when it is the very same
file; the labels on the list come with it. What has left the web since, or was changed, stays missing: a rebuilt set is
smaller.
"""
TAKE_DOWN = """
Whoever made a picture or is shown in it can have it taken out, without giving a reason: by the address of the
picture, of its page, or of a whole site. `takedown.remove_source` removes its images, the faces cut from them and all
rows about them, and notes address and hash, so that neither a new search nor a rebuild brings them back.
"""
NO_CONTACT = "**No contact is written down: ask whoever passed the data set on.**"
NO_SPLIT = "It is not split into train, val and test."
