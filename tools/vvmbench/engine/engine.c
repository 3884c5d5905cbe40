/* SPDX-License-Identifier: MIT */
/*
 * engine.c - the table of engines.
 *
 * A comparison is honest only if everything but the pager is the same: the
 * same pattern generator, the same check of every access, the same clock
 * around it, the same threads. So an engine supplies memory (or, for the bare
 * disk, transfers), its counters, and nothing else; work.c runs the
 * phases and memory.c is the one loop of all engines that have memory.
 * Another pager is another row in ENGINES and a file of its own.
 */
#include "vvmbench/engine/engine.h"

#include "common/tool.h"
#include "vvmbench/workload/space.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define X(name, help) extern const struct engine_ops engine_##name;
ENGINES(X)
#undef X

static const struct engine_ops *const engines[] = {
#define X(name, help) &engine_##name,
	ENGINES(X)
#undef X
};

const char *const engine_words[] = {
#define X(name, help) #name,
	ENGINES(X)
#undef X
		NULL,
};

void engine_open(struct engine *e, const struct plan *plan)
{
	memset(e, 0, sizeof(*e));
	e->ops = engines[plan->engine];
	e->plan = plan;
	e->fd = -1;
	e->ops->open(e);
}

void engine_close(struct engine *e)
{
	e->ops->close(e);
}

int engine_file(const struct plan *plan, int flags)
{
	const char *path = plan_directory(plan);
	int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);
	int error;

	if (fd < 0)
		tool_die(TOOL_FAILED,
			 "no file can be made in %s: %s "
			 "(--swap must be a directory for this engine)",
			 path, strerror(errno));
	error = posix_fallocate(fd, 0, (off_t)plan->size_bytes);
	if (error)
		tool_die(TOOL_FAILED, "no room in %s: %s", path,
			 strerror(error));
	return fd;
}
