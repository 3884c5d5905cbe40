/* SPDX-License-Identifier: MIT */
/*
 * trace.h - page access traces: in memory, and their file format, which
 * is described in trace.c.
 */
#ifndef VVM_BENCH_TRACE_H
#define VVM_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum trace_flag {
	TRACE_WRITE = 1,
	TRACE_APART = 2, /* its hits are counted apart, too: scanmix's zipf */
	TRACE_FLAGS = 3
};

/* Pages of a block stay together when page numbers are made dense. */
enum { TRACE_BLOCK_PAGES = 512 };

/* ---- in memory ---- */

struct trace {
	uint32_t *page; /* 0..pages-1 */
	uint8_t *flags; /* enum trace_flag */
	size_t accesses, room;
	uint32_t pages;	     /* whole blocks */
	uint64_t touched;    /* pages that are accessed at all */
	uint32_t *block_map; /* hash table of blocks; see trace_add() */
	uint64_t *block_key;
	uint32_t map_size;
};

void trace_init(struct trace *t);
void trace_fini(struct trace *t);
/*
 * Adds an access to a page of a sparse address space: blocks are numbered in
 * the order of their first access. False: out of memory, or too many blocks.
 */
bool trace_add(struct trace *t, uint64_t page, unsigned flags);
/* Counts what can be counted once at the end. False: out of memory. */
bool trace_finish(struct trace *t);

/* ---- writing; any number of threads, each with its own trace_part ---- */

struct trace_file;

enum {
	TRACE_PART_RECORDS = 256,
	TRACE_RECORD_BYTES = 10, /* at most */
};

struct trace_part {
	struct trace_file *file;
	uint32_t thread, records, bytes;
	uint64_t last; /* page */
	uint8_t data[TRACE_PART_RECORDS * TRACE_RECORD_BYTES];
};

/* NULL: errno says why. */
struct trace_file *trace_create(const char *path);
/* 0 or the errno of the first write that failed. */
int trace_close(struct trace_file *f);
void trace_part_init(struct trace_part *p, struct trace_file *f,
		     unsigned thread);
void trace_record(struct trace_part *p, uint64_t page, unsigned flags);
/* Hands over what the part still holds. => before trace_close() */
void trace_part_flush(struct trace_part *p);

/* ---- reading ---- */

/*
 * Reads a trace into t. Returns NULL, or what is wrong with the file (a
 * string constant); t then holds what could be read.
 */
const char *trace_read(struct trace *t, FILE *in);
#endif
