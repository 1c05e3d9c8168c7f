/*
 * Tables for people: a header, aligned columns, two blanks between. On a
 * terminal the widest columns are cut so that no line wraps; elsewhere nothing
 * is ever cut.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include "ctl/ctl.h"
#include <stdio.h>

#define TABLE_COLUMNS 12

struct table {
	const char *head[TABLE_COLUMNS]; /* borrowed */
	size_t columns;
	char **cells; /* owned, cleaned; row after row */
	size_t ncells;
	size_t room;
};

/* HEAD ends with NULL. */
void table_init(struct table *t, const char *const *head);
/* One cell of the row being filled, in order; NULL shows as "-". */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* WIDTH: columns of the terminal, or 0 for no limit. */
void table_print(const struct table *t, FILE *f, size_t width, bool colour);
void table_free(struct table *t);
/* To standard output, as CTL has it, and free. */
void table_end(struct table *t, const struct ctl *ctl);

#endif
