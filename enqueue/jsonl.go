package enqueue

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/inviteq/inviteq/tasks"
)

// JSONLines reads one JSON object a line, with the fields of tasks.InviteJSON:
//
//	{"email_address":"ada@example.com","public_metadata":{"plan":"pro"}}
//
// Unknown fields are refused, and so is import_id, which belongs to the whole
// import. Blank lines are skipped.
func JSONLines(r io.Reader) Source {
	return func(yield func(Row, error) bool) {
		in := &fence{r: r}
		br := bufio.NewReaderSize(in, 64<<10)
		if head, _ := br.Peek(4); notText(head) != nil {
			yield(Row{}, notText(head))
			return
		}
		var long []byte
		isFirst := true
		for number := 1; ; number++ {
			in.start = in.read - int64(br.Buffered())
			line, err := br.ReadSlice('\n')
			for long = long[:0]; errors.Is(err, bufio.ErrBufferFull); {
				long = append(long, line...)
				line, err = br.ReadSlice('\n')
			}
			if len(long) > 0 {
				long = append(long, line...)
				line = long
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Row{}, fmt.Errorf("row %d: %w", number, err))
				return
			}
			if number == 1 {
				line = bytes.TrimPrefix(line, bom)
			}
			if line = bytes.TrimSpace(line); len(line) > 0 {
				if isFirst && line[0] != '{' {
					yield(Row{}, fmt.Errorf("the file is not JSON Lines: row %d must be one JSON object, such as "+
						`{"email_address":"ada@example.com"}`, number))
					return
				}
				isFirst = false
				if !yield(jsonRow(number, line)) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

func jsonRow(number int, line []byte) (Row, error) {
	var j tasks.InviteJSON
	if line[0] != '{' {
		return Row{Number: number}, rowErr(number, "is not a JSON object; every line must be one")
	}
	if err := tasks.DecodeStrict(bytes.NewReader(line), &j); err != nil {
		return Row{Number: number}, rowErr(number, err.Error())
	}
	var problems []tasks.Problem
	if j.ImportID != "" {
		problems = append(problems, tasks.Problem{Field: "import_id", Reason: "belongs to the whole import, not to a row"})
		j.ImportID = ""
	}
	return newRow(number, j, problems)
}

// newRow validates a row in which problems have been found already.
func newRow(number int, j tasks.InviteJSON, problems []tasks.Problem) (Row, error) {
	row := Row{Number: number, ownLane: j.Lane != ""}
	if !row.ownLane {
		j.Lane = tasks.Import.String()
	}
	invite, err := j.Invite()
	if v, ok := errors.AsType[*tasks.ValidationError](err); ok {
		problems = append(problems, v.Problems...)
	}
	if len(problems) > 0 {
		return Row{Number: number}, &RowError{Row: number, Problems: problems}
	}
	row.Invite = invite
	return row, nil
}
