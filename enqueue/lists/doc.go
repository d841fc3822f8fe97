// Package lists reads lists of people as other programs write them, and has
// everybody on them invited. The command line and the HTTP API take lists in
// through it, and so can a service of yours:
//
//	list, err := lists.Open(ctx, file, lists.Options{Name: "team.csv"})
//	if err != nil {
//		return err // It is no list: an image, a PDF, no column with addresses, …
//	}
//	defer list.Close()
//	survey, err := list.Survey(ctx, nil)
//	if err != nil || survey.Bad > 0 {
//		return …
//	}
//	accepted, err := list.Accept(ctx, client, lists.Acceptance{})
//
// Open makes a copy that nobody else can read and that is gone with the process.
// Survey reads it to its end and tells everything that is wrong. Accept hands the
// good rows to an enqueue.Client; it may be repeated, also by another process with
// the same file, and goes on where it was.
//
// # What is read
//
// CSV with commas, semicolons, tabs or vertical bars; JSON Lines and JSON arrays
// of objects; the workbooks of Excel (.xlsx); each of them also compressed by gzip.
// Text is UTF-8, or UTF-16 with a byte order mark. The content decides, not the
// name of the file.
//
// The names of columns and keys are compared without regard to case, spaces,
// hyphens, underscores, brackets and what cannot be seen. Known are the fields of
// tasks.InviteJSON, public_metadata.KEY for one member of public_metadata (a
// string), and for the address what other programs call it, such as "E-mail" or
// "Primary email". Columns with other names are ignored, and Survey says which;
// one that looks like a misspelt name of ours is refused.
//
// Rows above the names of the columns are ignored if none of them is a person, and
// so are comments (#) and rows of dashes. A row may be shorter than the row of
// names; an empty cell, and \N, is the default.
//
// # A row's id
//
// A column id names a row within its import: the same list again is the same
// people, and the ids 1, 2, 3 of one list have nothing to do with those of
// another. With Options.GlobalIDs they are the caller's own, as tasks.Invite.ID.
// A row without an id is known by its address.
//
// # Memory
//
// A list of any size is read row by row. Survey keeps 17 to 28 bytes for each row,
// to find addresses and ids that come twice.
package lists
