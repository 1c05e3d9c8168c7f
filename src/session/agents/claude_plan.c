/*
 * Claude's to-do lists as a plan. Runs in the session worker. There are two
 * kinds: TodoWrite writes the whole list each time, and the task tools make
 * and change one entry at a time, so that the list is kept here. It is about
 * this process's conversation and gone with it.
 */
#include "session/agents/claude.h"

#include "lib/xalloc.h"
#include <string.h>

#define PLAN_BYTES_MAX (64u << 10)
#define CONTENT_MAX 1024
#define LABEL "turn.plan.updated"

static const char *
status_of(const char *word)
{
	static const char *const words[] = { "pending", "in_progress",
		"completed" };
	size_t i;

	for (i = 0; i < countof(words); i++)
		if (strcmp(words[i], word) == 0)
			return words[i];
	return NULL;
}

static void
entry(struct jw *w, const char *content, const char *status)
{
	jw_object(w);
	jw_kstr(w, "content", content);
	jw_kstr(w, "status", status);
	jw_kstr(w, "priority", "medium");
	jw_object_end(w);
}

static void
tell(struct claude *c, const struct json *todos)
{
	struct buf b;
	struct jw w;
	unsigned i;

	buf_init(&b, PLAN_BYTES_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (it, todos) {
		const char *status = status_of(json_str(it, "status", ""));

		entry(&w, json_str(it, "content", ""),
		    status != NULL ? status : "pending");
	}
	for (i = 0; todos == NULL && i < c->ntasks; i++)
		entry(&w, c->tasks[i].content, c->tasks[i].status);
	jw_array_end(&w);
	if (!b.failed)
		uni_plan(c->a.out, LABEL, b.data);
	buf_free(&b);
}

static struct claude_task *
find(struct claude *c, const char *id)
{
	unsigned i;

	for (i = 0; i < c->ntasks; i++)
		if (strcmp(c->tasks[i].id, id) == 0)
			return &c->tasks[i];
	return NULL;
}

static void
drop(struct claude *c, struct claude_task *t)
{
	size_t after = (size_t)(&c->tasks[c->ntasks] - t) - 1;

	free(t->id);
	free(t->content);
	memmove(t, t + 1, after * sizeof(*t));
	c->ntasks--;
}

void
claude_plan_use(struct claude *c, const struct json *block)
{
	const char *name = json_str(block, "name", "");
	const struct json *input = json_get(block, "input");
	const struct json *todos = json_get(input, "todos");
	const char *word = json_str(input, "status", "");
	const char *subject = json_str(input, "subject", NULL);
	struct claude_task *t;

	if (strcmp(name, "TodoWrite") == 0 && todos != NULL &&
	    todos->type == JSON_ARRAY) {
		tell(c, todos);
		return;
	}
	if (strcmp(name, "TaskUpdate") != 0)
		return;
	t = find(c, json_str(input, "taskId", ""));
	if (t == NULL)
		return;
	if (strcmp(word, "deleted") == 0) {
		drop(c, t);
	} else {
		if (status_of(word) != NULL)
			t->status = status_of(word);
		if (subject != NULL) {
			free(t->content);
			t->content = xstrndup(subject, CONTENT_MAX);
		}
	}
	tell(c, NULL);
}

/* What TaskCreate made is told by its result alone. */
void
claude_plan_result(
    struct claude *c, const struct json *m, const struct json *block)
{
	const struct json *task = json_path(m, "tool_use_result.task");
	const char *id = json_str(task, "id", NULL);
	const char *subject = json_str(task, "subject", NULL);
	struct claude_task *t;

	if (id == NULL || subject == NULL || find(c, id) != NULL ||
	    c->ntasks == CLAUDE_TASKS_MAX ||
	    json_bool(block, "is_error", false))
		return;
	t = &c->tasks[c->ntasks++];
	t->id = xstrndup(id, CLAUDE_ID_MAX);
	t->content = xstrndup(subject, CONTENT_MAX);
	t->status = "pending";
	tell(c, NULL);
}

void
claude_plan_free(struct claude *c)
{
	while (c->ntasks > 0)
		drop(c, &c->tasks[c->ntasks - 1]);
}
