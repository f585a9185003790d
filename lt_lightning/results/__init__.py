"""What a run leaves behind, and what is made of it.

A run writes `run.json` (`description`), a ticket (`round_tickets`) and rows of its tables (`records`) a round; the
rows are shown as plain text (`tables`). Its task says what rounds are judged by (`metrics`), hence which won
(`winners`), and what its things are called (`wording`). From a run directory (`runs`) a report is drawn (`report`):
figures (`figures`, `confusion_figures`, their look in `style`) and a page (`page`, `examples`, made of what `frame`
has) that also puts `run.json` into words (`facts`). Whatever is written is written whole or not at all (`files`);
tensors are written with a checksum inside (`sealed`, `sealed_tensors`). `masks` compares those of two rounds.

Several runs, found below folders (`folders`), are gathered (`study`) in groups of equal settings (`grouping`) and
compared (`comparison`) by means over seeds (`statistics`): `comparison_report` writes figures (`comparison_pictures`,
drawn in `comparison_figures` and `comparison_curves`), tables (`comparison_tables`) and a page (`comparison_page`).

A ticket that is tried on labelled texts (`evaluation`, what is said of it in `evaluated`) gets a report of its own
(`evaluation_report`: `evaluation_tables`, `evaluation_figures`, `evaluation_page`). `packing` makes a packed ticket of
a round's; `dense` what other programs read.

What does not belong here: anything that trains or prunes. `records`, `metrics`, `tables`, `runs`, `facts`, `frame` and
`page` import the standard library alone, so that reading a run does not wait for torch or matplotlib; nor does checking
that a sealed file is whole.
"""
