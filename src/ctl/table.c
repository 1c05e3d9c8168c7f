/*
 * Tables for people; see table.h. Runs as the caller; cells may be hostile and
 * are cleaned as they come in.
 */
#include "ctl/table.h"
#include "ctl/term.h"
#include "ctl/text.h"
#include "lib/xalloc.h"
#include <stdarg.h>
#include <string.h>

#define GAP 2
#define COLUMN_MIN 8 /* no column is cut below this */
#define CELL_MAX (64 * 1024)

void
table_init(struct table *t, const char *const *head)
{
	*t = (struct table){ 0 };
	while (head[t->columns] != NULL && t->columns < TABLE_COLUMNS) {
		t->head[t->columns] = head[t->columns];
		t->columns++;
	}
}

void
table_cell(struct table *t, const char *text)
{
	struct buf b;
	size_t n = text == NULL ? 0 : strlen(text);

	buf_init(&b, CELL_MAX * 6);
	if (n == 0)
		(void)buf_adds(&b, "-");
	else
		text_clean(&b, text, MIN(n, (size_t)CELL_MAX), false);
	if (t->ncells == t->room) {
		t->room = t->room == 0 ? 64 : t->room * 2;
		t->cells = xreallocarray(t->cells, t->room, sizeof(char *));
	}
	t->cells[t->ncells++] = b.failed ? xstrdup("?") : buf_steal(&b);
	buf_free(&b);
}

void
table_cellf(struct table *t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut cell is shown */
	va_end(ap);
	table_cell(t, text);
}

/* Take columns away from the widest until the line fits. */
static void
shrink(size_t *widths, size_t n, size_t width)
{
	size_t total;
	size_t i;

	for (;;) {
		size_t widest = 0;

		total = (n - 1) * GAP;
		for (i = 0; i < n; i++) {
			total += widths[i];
			if (widths[i] > widths[widest])
				widest = i;
		}
		if (total <= width || widths[widest] <= COLUMN_MIN)
			return;
		widths[widest]--;
	}
}

static void
print_row(const char *const *cells, const size_t *widths, size_t n, FILE *f)
{
	struct buf b;
	size_t i;

	buf_init(&b, TABLE_COLUMNS * (CELL_MAX * 6 + 16));
	for (i = 0; i < n; i++) {
		size_t before = b.len;
		size_t used;

		text_line(&b, cells[i], strlen(cells[i]), widths[i], "~");
		if (b.failed)
			break;
		used = b.len > before
			   ? text_width(b.data + before, b.len - before)
			   : 0;
		for (; i + 1 < n && used < widths[i] + GAP; used++)
			(void)buf_addc(&b, ' ');
	}
	if (!b.failed && b.len > 0)
		(void)fwrite(b.data, 1, b.len, f);
	buf_free(&b);
}

void
table_print(const struct table *t, FILE *f, size_t width, bool colour)
{
	size_t widths[TABLE_COLUMNS];
	size_t i;

	if (t->columns == 0)
		return;
	for (i = 0; i < t->columns; i++)
		widths[i] = strlen(t->head[i]);
	for (i = 0; i < t->ncells; i++) {
		size_t w = text_width(t->cells[i], strlen(t->cells[i]));

		widths[i % t->columns] = MAX(widths[i % t->columns], w);
	}
	if (width > 0)
		shrink(widths, t->columns, width);
	if (colour)
		(void)fputs("\033[1m", f);
	print_row(t->head, widths, t->columns, f);
	(void)fputs(colour ? "\033[0m\n" : "\n", f);
	for (i = 0; i + t->columns <= t->ncells; i += t->columns) {
		print_row(
		    (const char *const *)&t->cells[i], widths, t->columns, f);
		(void)fputc('\n', f);
	}
}

void
table_free(struct table *t)
{
	size_t i;

	for (i = 0; i < t->ncells; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){ 0 };
}

void
table_end(struct table *t, const struct ctl *ctl)
{
	table_print(t, stdout, ctl->tty ? term_columns(0) : 0, ctl->colour);
	table_free(t);
}
