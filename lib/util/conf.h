/* SPDX-License-Identifier: MIT */
/*
 * util/conf.h - THE table of settings. The struct, the VVM_* environment, the
 * parser, `vvmbench --help`, the README's table and a test all expand it.
 *
 * X(type, field, ENV suffix, default text, "unit or values", "description")
 * types: SIZE  uint64_t bytes, "256M", "1.5G", "25%" (of the machine's RAM)
 *	  UINT  uint64_t
 *	  PATH  char[CONF_PATH_MAX]
 *	  ENUM  int, one of the words in "values" separated by |
 *	  BOOL  bool: 0|1|yes|no|on|off|true|false
 */
#ifndef VVM_CONF_H
#define VVM_CONF_H

#include "base.h"

#define CONF_PATH_MAX 4096

#define CONF_SETTINGS(X)                                                       \
	X(SIZE, resident_bytes, RESIDENT, "256M", "bytes",                     \
	  "budget: RAM that the pages of the space may occupy")                \
	X(PATH, swap_path, SWAP, "/var/tmp", "path",                           \
	  "directory (unlinked file), file or block device to swap to")        \
	X(SIZE, swap_limit_bytes, SWAP_LIMIT, "0", "bytes",                    \
	  "largest size of the swap; 0: what the file system has free")        \
	X(BOOL, swap_reserve, SWAP_RESERVE, "no", "bool",                      \
	  "allocate the whole swap limit when the space is opened")            \
	X(BOOL, swap_direct, SWAP_DIRECT, "yes", "bool",                       \
	  "O_DIRECT, where the file system allows it")                         \
	X(ENUM, io, IO, "auto", "auto|uring|sync",                             \
	  "io_uring, or pread and pwrite; auto takes what is permitted")       \
	X(ENUM, faults, FAULTS, "thread", "thread|inline",                     \
	  "who resolves a fault: handler threads, or the faulting thread")     \
	X(UINT, handlers, HANDLERS, "0", "threads",                            \
	  "handler threads of thread mode; 0: one for two CPUs, at most 4")    \
	X(UINT, low_pct, LOW_PCT, "2", "% of the budget",                      \
	  "reclaim starts when fewer frames than this are free")               \
	X(UINT, high_pct, HIGH_PCT, "4", "% of the budget",                    \
	  "reclaim goes on until so many frames are free")                     \
	X(UINT, frame_wait_ms, FRAME_WAIT_MS, "10000", "ms",                   \
	  "how long an access waits for a frame before it fails (SIGBUS)")     \
	X(UINT, spin_us, SPIN_US, "100", "us",                                  \
	  "how long an idle handler polls for the next event before it sleeps") \
	X(UINT, pollers, POLLERS, "1", "reads",                                 \
	  "inline: so many reads in flight are waited for by polling")         \
	X(ENUM, fork, FORK, "die", "die|inherit",                              \
	  "what a fork child may do with the memory: die of it, or use it")    \
	X(ENUM, policy, POLICY, "heat", "heat|clock",                          \
	  "replacement policy")                                                \
	X(UINT, readahead_max_pages, READAHEAD, "512", "pages",                \
	  "largest prefetch window; 0 turns prefetch off")                     \
	X(BOOL, stat_segment, STAT, "yes", "bool",                             \
	  "publish statistics for vvmstat")                                    \
	X(ENUM, log_level, LOG, "warn", "none|error|warn|info|debug",          \
	  "messages on standard error")

enum conf_io { CONF_IO_AUTO, CONF_IO_URING, CONF_IO_SYNC };
enum conf_fork { CONF_FORK_DIE, CONF_FORK_INHERIT };
enum conf_faults { CONF_FAULTS_THREAD, CONF_FAULTS_INLINE };

struct conf {
#define CONF_TYPE_SIZE(f) uint64_t f
#define CONF_TYPE_UINT(f) uint64_t f
#define CONF_TYPE_PATH(f) char f[CONF_PATH_MAX]
#define CONF_TYPE_ENUM(f) int f
#define CONF_TYPE_BOOL(f) bool f
#define X(type, field, env, def, unit, desc) CONF_TYPE_##type(field);
	CONF_SETTINGS(X)
#undef X
};

/* Sets every field to its default. Never fails. */
void conf_defaults(struct conf *c);
/*
 * Sets one field by its environment suffix or field name, from text.
 * -ENOENT: no such setting; -EINVAL: not a value of its type; -ERANGE.
 */
int conf_set(struct conf *c, const char *name, const char *text);
/*
 * Reads VVM_* from the environment (secure_getenv). A wrong value is an
 * error, not ignored: -EINVAL, and *bad (may be NULL) names the variable.
 */
int conf_environment(struct conf *c, const char **bad);
/*
 * The text of a field: with environment, its variable's value if there is
 * one; else the default. Points into the environment or to a constant.
 */
const char *conf_text(const char *field, bool environment);
/* Cross-field checks and clamps: budget >= 1 page, low <= high <= 50 %. */
int conf_check(struct conf *c);

#endif
