/* SPDX-License-Identifier: MIT */
/*
 * api/open.c - opening and closing a space: options, settings, and the modules
 * in the order in which they start and stop.
 */
#include "vvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "door/door.h"
#include "fork/fork.h"
#include "fault/handler.h"
#include "fault/inline.h"
#include "util/log.h"
#include "map/mapping.h"
#include "map/sync.h"
#include "space/life.h"
#include "space/spaces.h"
#include "evict/reclaim.h"
#include "fill/streams.h"
#include "fault/trap.h"
#include "api/impl.h"

/* ---- options ---- */

/* Each row is a field of struct vvm_options, of the type in settings.h. */
#define PUBLIC_SIZE(f)	 uint64_t
#define PUBLIC_UINT(f)	 unsigned
#define PUBLIC_UINT64(f) uint64_t
#define PUBLIC_PATH(f)	 const char *
#define PUBLIC_ENUM(f)	 enum vvm_##f
#define PUBLIC_WORD(f)	 const char *
#define PUBLIC_BOOL(f)	 int
#define X(type, field, ...)                                                  \
	_Static_assert(__builtin_types_compatible_p(                         \
			       __typeof__(((struct vvm_options *)0)->field), \
			       PUBLIC_##type(field)),                        \
		       "vvm.h: " #field);
SETTINGS_OPTIONS(X)
#undef X

/* What is text there points to the text that was read. */
static void options_from_conf(struct vvm_options *o, const struct conf *c,
			      const char *const text[CONF_ROWS])
{
	memset(o, 0, sizeof(*o));
	o->struct_bytes = sizeof(*o);
#define X(type, field, ...)                                        \
	o->field = __builtin_choose_expr(                          \
		__builtin_types_compatible_p(PUBLIC_##type(field), \
					     const char *),        \
		text[CONF_ROW_##field], c->field);
	SETTINGS_OPTIONS(X)
#undef X
}

static int options_to_conf(struct conf *c, const struct vvm_options *o)
{
	int rc = 0;

#define IN_VALUE(f)	    c->f = o->f
#define IN_TEXT(f)	    rc |= o->f ? conf_set(c, #f, o->f) : 0
#define IN_SIZE		    IN_VALUE
#define IN_UINT		    IN_VALUE
#define IN_UINT64	    IN_VALUE
#define IN_PATH		    IN_TEXT
#define IN_ENUM		    IN_VALUE
#define IN_WORD		    IN_TEXT
#define IN_BOOL		    IN_VALUE
#define X(type, field, ...) IN_##type(field);
	SETTINGS_OPTIONS(X)
#undef X
	return rc ? -EINVAL : 0;
}

static int read_environment(struct conf *c, const char *text[CONF_ROWS])
{
	const char *bad;
	int rc = conf_read(c, text, &bad);

	if (rc < 0)
		log_error("environment variable %s has no valid value", bad);
	return rc;
}

int vvm_options_init(struct vvm_options *options)
{
	const char *text[CONF_ROWS];
	struct conf *c;
	int rc;

	if (!options)
		return -EINVAL;
	c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	rc = read_environment(c, text);
	options_from_conf(options, c, text);
	free(c);
	return rc;
}

/* ---- open and close ---- */

/* What the library needs beside the budget: MEASURED.md, "Memory". */
#define BESIDE_BYTES ((uint64_t)16 << 20)

/* The kernel ends a process that comes to its limit, and says nothing to it. */
static void check_memory(const struct conf *c)
{
	uint64_t ram = os_ram_bytes();

	if (c->resident_bytes == VVM_RESIDENT_AUTO)
		return;
	if (c->resident_bytes > ram || ram - c->resident_bytes < BESIDE_BYTES)
		log_warn("the budget, %llu MiB, and 16 MiB beside it are more "
			 "than the memory that this process may use, %llu MiB: "
			 "the kernel may kill it; VVM_RESIDENT=50%% fits",
			 (unsigned long long)c->resident_bytes >> 20,
			 (unsigned long long)ram >> 20);
}

static int check_machine(const struct conf *c)
{
	check_memory(c);
	if (os_on_valgrind()) {
		log_error("valgrind runs one thread at a time: the one that "
			  "waits for a page would wait for ever");
		return -ENOTSUP;
	}
	if (os_page_size() != PAGE_BYTES) {
		log_error("pages of %llu bytes are not supported, only 4096",
			  (unsigned long long)os_page_size());
		return -ENOTSUP;
	}
#if !defined(__x86_64__)
	/* Elsewhere a signal does not say whether the access was a write. */
	if (c->faults == VVM_FAULTS_INLINE || c->faults == VVM_FAULTS_GUARD) {
		log_error("faults=inline and faults=guard are for x86-64 only");
		return -ENOTSUP;
	}
#endif
	return os_fork_watch();
}

static int configure(struct conf *c, const struct vvm_options *options)
{
	const char *text[CONF_ROWS];
	int rc = read_environment(c, text);

	if (rc == 0 && options) {
		if (options->struct_bytes != sizeof(*options))
			return -EINVAL;
		rc = options_to_conf(c, options);
	}
	if (rc == 0)
		rc = conf_check(c);
	if (rc == 0)
		log_set_level((enum log_level)c->log_level);
	return rc;
}

static void stop_actors(struct vvm *vm)
{
	atomic_store(&vm->stopping, true);
	handlers_stop(vm);
	reclaim_stop(vm);
	lives_stop(vm);
}

static int start(struct vvm *vm)
{
	int rc = streams_init(vm);

	if (rc == 0)
		rc = inline_init(vm);
	if (rc == 0)
		rc = fork_init(vm);
	if (rc < 0)
		goto no_inline;
	rc = lives_start(vm);
	if (rc < 0)
		goto no_inline;
	rc = reclaim_start(vm);
	if (rc < 0)
		goto no_handlers;
	rc = handlers_start(vm);
	if (rc < 0)
		goto no_handlers;
	if (space_is_inline(vm))
		rc = trap_register(vm);
	if (rc == 0)
		rc = spaces_add(vm);
	if (rc == 0)
		rc = fork_register(vm);
	if (rc == 0)
		return 0;
	spaces_remove(vm);
	trap_unregister(vm);
no_handlers:
	stop_actors(vm);
no_inline:
	fork_fini(vm);
	inline_fini(vm);
	streams_fini(vm);
	return rc;
}

/* The threads' rings are all that a permission could be missing for. */
static int start_error(int rc)
{
	if (rc != -EPERM && rc != -EACCES)
		return rc;
	log_error("io_uring is not permitted here; io=auto does without it");
	return -ENOSYS;
}

/* To what vvm.h has; swap/swap.c has seen to those of the swap file. */
static int open_error(int rc)
{
	static const int documented[] = {
		EINVAL, EPERM,	ENOSYS,	 ENOTSUP, EBUSY, EAGAIN,
		ENOENT, EACCES, ENOTDIR, ELOOP,	  EROFS, EIO,
		ENOSPC, EFBIG,	ENOMEM,	 EMFILE,  ENFILE};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(documented); i++)
		if (rc == -documented[i])
			return rc;
	log_error("vvm_open: unexpected error %d from the kernel", -rc);
	return -ENOMEM;
}

static int arm_injection(bool early)
{
	const char *spec = secure_getenv("VVM_INJECT");
	int rc = spec ? os_inject_parse(spec, early) : 0;

	if (rc < 0)
		log_error("VVM_INJECT: cannot make sense of \"%s\"", spec);
	return rc;
}

static int open_space(struct vvm **out, const struct vvm_options *options)
{
	struct vvm *vm = NULL;
	struct conf *c;
	int rc;

	rc = arm_injection(true);
	if (rc < 0)
		return rc;
	c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	rc = configure(c, options);
	if (rc == 0)
		rc = check_machine(c);
	if (rc == 0 && c->syscalls == VVM_SYSCALLS_TRAP)
		rc = door_install();
	if (rc == 0)
		rc = space_new(&vm, c);
	free(c);
	if (rc)
		return rc;
	rc = start(vm);
	if (rc < 0) {
		space_free(vm);
		return start_error(rc);
	}
	rc = arm_injection(false);
	if (rc < 0)
		vvm_close(vm);
	else
		*out = vm;
	return rc;
}

int vvm_open(struct vvm **out, const struct vvm_options *options)
{
	ON_FIRM_STACK(int, vvm_open, out, options);
	IN_CALL(NULL);
	int rc, state;

	if (!out)
		return -EINVAL;
	state = os_cancel_off();
	rc = open_space(out, options);
	os_cancel_restore(state);
	return rc < 0 ? open_error(rc) : 0;
}

/* A pager's threads and the actors' rings must not outlive each other. */
static void stop_broken(struct vvm *vm)
{
	if (!space_broken(vm))
		return;
	mapping_abandon(vm);
	stop_actors(vm);
}

int vvm_close(struct vvm *vm)
{
	ON_FIRM_STACK(int, vvm_close, vm);
	IN_CALL(NULL);
	int state, rc;

	if (!vm)
		return 0;
	rc = usable(vm);
	if (rc == -ECHILD || rc == -EDEADLK)
		return rc;
	state = os_cancel_off();
	if (vm->fork)
		fork_reopen(vm); /* for good */
	fork_unregister(vm);
	stop_broken(vm); /* what they have in flight is undone then */
	mapping_unmap_all(vm);
	sync_fini(vm);
	spaces_remove(vm);
	trap_unregister(vm);
	stop_broken(vm); /* since a moment ago */
	stop_actors(vm);
	fork_fini(vm);
	inline_fini(vm);
	streams_fini(vm);
	space_free(vm);
	os_cancel_restore(state);
	return 0;
}
