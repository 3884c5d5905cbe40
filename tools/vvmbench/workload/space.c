/* SPDX-License-Identifier: MIT */
/*
 * space.c - a vvm space for a sub-command, and its statistics.
 *
 * Whoever runs vvmbench for the first time may well be where userfaultfd is
 * not permitted; so a failed vvm_open() prints the error's text and, where
 * vvm_probe() knows one, the remedy. The counters are printed by expanding
 * the table of vvm_stat.h: a new counter shows up by itself.
 */
#include "vvmbench/workload/space.h"

#include "common/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const bench_fault_words[] = {"auto", "thread", "inline", "guard",
					 NULL};

/* What auto will be, so that a report can name it. */
static enum vvm_faults auto_faults(void)
{
	struct vvm_probe probe;

	if (vvm_probe(&probe) || !probe.usable)
		return VVM_FAULTS_AUTO;
	return (probe.flags & VVM_PROBE_PERMITTED) &&
			       (probe.flags & VVM_PROBE_WP_SHMEM)
		       ? VVM_FAULTS_THREAD
		       : VVM_FAULTS_GUARD;
}

void bench_space_options(struct vvm_options *options)
{
	if (vvm_options_init(options))
		tool_die(TOOL_USAGE, "a VVM_* variable in the environment is "
				     "wrong: correct or unset it");
	if (options->faults == VVM_FAULTS_AUTO)
		options->faults = auto_faults();
}

/* In a signal handler, in the thread whose access failed. */
static enum vvm_verdict on_failed_access(struct vvm *vm,
					 const struct vvm_fault *fault,
					 void *arg)
{
	char text[160];
	int n;

	(void)vm;
	(void)arg;
	n = snprintf(text, sizeof(text),
		     "vvmbench: access to page %p failed: %s\n", fault->ptr,
		     vvm_strerror(fault->error));
	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		return VVM_DECLINE;
	_exit(TOOL_FAILED);
}

_Noreturn static void explain_open(int error)
{
	struct vvm_probe probe;

	tool_warn("cannot open a space: %s", vvm_strerror(error));
	if (vvm_probe(&probe) == 0 && !probe.usable && *probe.reason)
		tool_warn("%s", probe.reason);
	if (error == -EPERM || error == -ENOSYS)
		tool_warn("'vvmstat --doctor' looks at all that is needed");
	exit(TOOL_FAILED);
}

struct vvm *bench_space_open(const struct vvm_options *options)
{
	struct vvm *vm;
	int error = vvm_open(&vm, options);

	if (error)
		explain_open(error);
	error = vvm_on_fault(vm, on_failed_access, NULL);
	if (error)
		tool_warn("no fault callback: %s", vvm_strerror(error));
	return vm;
}

char *bench_space_map(struct vvm *vm, uint64_t len, const char *name)
{
	uint64_t addr = VVM_ANYWHERE;
	int error = vvm_map(vm, &addr, len, VVM_READ | VVM_WRITE, name);
	char size[8];

	if (error)
		tool_die(TOOL_FAILED, "cannot map %s for %s: %s",
			 tool_human(size, len), name, vvm_strerror(error));
	return vvm_ptr(vm, addr);
}

void bench_space_advise(struct vvm *vm, const void *start, uint64_t len,
			enum vvm_advice advice)
{
	uint64_t addr;
	int error = vvm_addr(vm, start, &addr);

	if (!error)
		error = vvm_advise(vm, addr, len, advice);
	if (error)
		tool_warn("vvm_advise: %s", vvm_strerror(error));
}

void bench_space_stats(struct vvm *vm, struct vvm_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	vvm_stats(vm, stats, sizeof(*stats));
}

void bench_space_json(struct tool_json *j, const struct vvm_stats *stats)
{
#define X(name, kind, help) tool_json_int(j, #name, stats->name);
	VVM_STAT_COUNTERS(X)
#undef X
#define X(name, help) tool_json_uint(j, #name, stats->name);
	VVM_STAT_VALUES(X)
#undef X
}
