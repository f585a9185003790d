"""What a run leaves behind, and what is made of it.

A run writes `run.json` (`description`), a ticket (`tickets`) and rows of its tables (`records`) a round; the rows are
shown as plain text (`tables`). From a run directory (`runs`) a report is drawn (`report`): figures (`figures`, their
look in `style`) and a page (`page`) that also puts `run.json` into words (`facts`). Whatever is written is written
whole or not at all (`files`).

What does not belong here: anything that trains or prunes. `records`, `tables`, `runs`, `facts` and `page` import the
standard library alone, so that reading a run does not wait for torch or matplotlib.
"""
