/* SPDX-License-Identifier: MIT */
/*
 * settings.h - THE table of settings. struct conf, the parser, the VVM_*
 * environment, the copying from and to struct vvm_options, `vvmbench --help`,
 * the list in vvm(7) and the tests expand it.
 *
 * To add a setting: README.md beside this file.
 *
 * X(type, field, variable without VVM_, default, unit or values, range, what)
 *
 *	type	text				in struct vvm_options
 *	SIZE	bytes, as parse_size() has them	uint64_t
 *		with `|auto` in its unit also "auto": SETTING_AUTO, which is in
 *		no range
 *	UINT	a number			unsigned
 *	UINT64	a number			uint64_t
 *	PATH	not empty			const char *
 *	ENUM	one of the values, between |	enum vvm_<field>
 *	WORD	the same			const char *, as the text
 *	BOOL	0|1|yes|no|on|off|true|false	int
 */
#ifndef VVM_SETTINGS_H
#define VVM_SETTINGS_H

#include "base.h"

/*
 * An initializer of three: from, to, what to say; for other types: any. In
 * parentheses, as not every preprocessor of a checker gets commas right that
 * an argument brings along; SETTING_LIMITS takes them off.
 */
#define SETTING_RANGE(least, most, why) (least, most, why)
#define SETTING_ANY			(0, UINT64_MAX, "")
#define SETTING_LIMITS(...)		__VA_ARGS__

#define SETTING_AUTO UINT64_MAX /* VVM_RESIDENT_AUTO */

/* VVM_STAT_ACTORS do for them, the reclaimers and the application. */
#define SETTING_HANDLERS_MAX 32
#define SETTING_POLLERS_MAX  32

/*
 * The fields of struct vvm_options. Ranges: 2^47 is the host's address space.
 * In swap_limit_bytes 0 has a meaning of its own, see conf_check(). A day is
 * "for ever" to a user and keeps the microseconds far from overflow. 4 MiB of a
 * stream ahead, twice over, are as much as a disk can have in flight.
 */
#define SETTINGS_OPTIONS(X)                                                     \
	X(SIZE, resident_bytes, RESIDENT, "256M", "bytes|auto",                 \
	  SETTING_RANGE(PAGE_BYTES, 1ull << 47,                                 \
			"the budget is at least a page (4 KiB) and below "      \
			"128 TiB"),                                             \
	  "budget: RAM that the pages of the space may occupy; the default is " \
	  "at most half of what the process may use; auto: it follows the "     \
	  "machine")                                                            \
	X(PATH, swap_path, SWAP, "/var/tmp", "path", SETTING_ANY,               \
	  "directory (unlinked file), file or block device to swap to; where "  \
	  "the default cannot be used, or is memory: $TMPDIR or /tmp")          \
	X(SIZE, swap_limit_bytes, SWAP_LIMIT, "0", "bytes",                     \
	  SETTING_RANGE(0, 1ull << 50, "the limit is 1 PiB"),                   \
	  "largest size of the swap; 0: what the file system has free")         \
	X(BOOL, swap_reserve, SWAP_RESERVE, "no", "bool", SETTING_ANY,          \
	  "allocate the whole swap limit when the space is opened")             \
	X(BOOL, swap_direct, SWAP_DIRECT, "yes", "bool", SETTING_ANY,           \
	  "O_DIRECT, where the file system allows it")                          \
	X(ENUM, io, IO, "auto", "auto|uring|sync", SETTING_ANY,                 \
	  "io_uring, or pread and pwrite; auto takes what is permitted")        \
	X(ENUM, compress, COMPRESS, "off", "auto|off|lz4", SETTING_ANY,         \
	  "keep pages that leave their frames in memory, compressed, in a "     \
	  "part of the budget, as long as that pays; auto: if this libvvm can") \
	X(ENUM, faults, FAULTS, "auto", "auto|thread|inline|guard",             \
	  SETTING_ANY,                                                          \
	  "who resolves a fault: handler threads, the faulting thread, or "     \
	  "that without userfaultfd; auto: thread, else guard")                 \
	X(UINT, handlers, HANDLERS, "0", "threads",                             \
	  SETTING_RANGE(0, SETTING_HANDLERS_MAX,                                \
			"at most 32 handler threads"),                          \
	  "handler threads of thread mode; 0: one for two CPUs, at most 4")     \
	X(UINT, low_pct, LOW_PCT, "2", "% of the budget", SETTING_ANY,          \
	  "reclaim starts when fewer frames than this are free")                \
	X(UINT, high_pct, HIGH_PCT, "4", "% of the budget",                     \
	  SETTING_RANGE(0, 50, "at most half of the budget can be kept free"),  \
	  "reclaim goes on until so many frames are free")                      \
	X(UINT64, frame_wait_ms, FRAME_WAIT_MS, "10000", "ms",                  \
	  SETTING_RANGE(0, 86400000, "at most a day"),                          \
	  "how long an access waits for a frame before it fails (SIGBUS)")      \
	X(UINT, spin_us, SPIN_US, "100", "us",                                  \
	  SETTING_RANGE(0, 1000000, "at most a second"),                        \
	  "how long an idle handler polls for the next event before it "        \
	  "sleeps")                                                             \
	X(UINT, pollers, POLLERS, "1", "reads",                                 \
	  SETTING_RANGE(0, SETTING_POLLERS_MAX,                                 \
			"at most 32 reads are polled for"),                     \
	  "inline: so many reads in flight are polled for, if that pays")       \
	X(ENUM, fork, FORK, "die", "die|inherit", SETTING_ANY,                  \
	  "what a fork child may do with the memory: die of it, or use it")     \
	X(WORD, policy, POLICY, "heat", "heat|clock", SETTING_ANY,              \
	  "replacement policy")                                                 \
	X(UINT, readahead_max_pages, READAHEAD, "512", "pages",                 \
	  SETTING_RANGE(0, 1024, "at most 1024 pages (4 MiB)"),                 \
	  "largest prefetch window; 0 turns prefetch off")                      \
	X(BOOL, stat_segment, STAT, "yes", "bool", SETTING_ANY,                 \
	  "publish statistics for vvmstat")                                     \
	X(ENUM, syscalls, SYSCALLS, "off", "off|trap", SETTING_ANY,             \
	  "system calls on paged memory that the kernel would refuse: "         \
	  "fail, or are trapped by a seccomp filter and made to work")          \
	X(SIZE, resident_min_bytes, RESIDENT_MIN, "0", "bytes",                 \
	  SETTING_RANGE(0, 1ull << 47, "the least budget is below 128 TiB"),    \
	  "with RESIDENT=auto: the budget does not go below; 0: 16M")           \
	X(SIZE, resident_max_bytes, RESIDENT_MAX, "0", "bytes",                 \
	  SETTING_RANGE(0, 1ull << 47, "the largest budget is below 128 TiB"),  \
	  "with RESIDENT=auto: the budget does not go above; 0: what the "      \
	  "process may use, less a reserve")

/* Those of the environment alone: for the process, not for a space. */
#define SETTINGS_PROCESS(X)                                           \
	X(WORD, log_level, LOG, "warn", "none|error|warn|info|debug", \
	  SETTING_ANY, "messages on standard error")

#define SETTINGS(X) SETTINGS_OPTIONS(X) SETTINGS_PROCESS(X)

#endif
