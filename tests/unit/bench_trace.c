/* SPDX-License-Identifier: MIT */
/*
 * unit/bench_trace.c - the trace format: what is written comes back, and files that
 * are cut short, broken or made in bad faith are refused, not believed.
 */
#include "vvmbench/workload/trace.h"
#include "vvmbench/workload/trace_lackey.h"
#include "support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/vvm-trace-XXXXXX";

static void setup(void)
{
	int fd;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void teardown(void)
{
	unlink(path);
}

static const char *read_back(struct trace *t)
{
	FILE *in = fopen(path, "re");
	const char *wrong;

	ck_assert_ptr_nonnull(in);
	trace_init(t);
	wrong = trace_read(t, in);
	fclose(in);
	return wrong;
}

/* Reads bytes as a file. */
static const char *read_bytes(const void *bytes, size_t n, struct trace *t)
{
	FILE *in = fmemopen((void *)(uintptr_t)bytes, n ? n : 1, "r");
	const char *wrong;

	ck_assert_ptr_nonnull(in);
	if (!n)
		fgetc(in);
	trace_init(t);
	wrong = trace_read(t, in);
	fclose(in);
	return wrong;
}

static uint64_t some_page(unsigned i)
{
	return i % 3 ? i * 7 : (uint64_t)i << 33;
}

static void write_pages(unsigned n)
{
	struct trace_file *f = trace_create(path);
	struct trace_part part;
	unsigned i;

	ck_assert_ptr_nonnull(f);
	trace_part_init(&part, f, 0);
	for (i = 0; i < n; i++)
		trace_record(&part, some_page(i), i % 4);
	trace_part_flush(&part);
	ck_assert_int_eq(trace_close(f), 0);
}

/* What read_back() must give: blocks in the order of their first access. */
static void expect_pages(const struct trace *t, unsigned n)
{
	struct trace same;
	unsigned i;

	trace_init(&same);
	for (i = 0; i < n; i++)
		ck_assert(trace_add(&same, some_page(i), i % 4));
	ck_assert(trace_finish(&same));
	ck_assert_uint_eq(t->accesses, n);
	ck_assert_uint_eq(t->pages, same.pages);
	ck_assert_uint_eq(t->touched, same.touched);
	ck_assert_mem_eq(t->page, same.page, n * sizeof(*t->page));
	ck_assert_mem_eq(t->flags, same.flags, n);
	trace_fini(&same);
}

START_TEST(comes_back)
{
	static const unsigned counts[] = {1, 255, 256, 257, 100000};
	struct trace t;
	unsigned i;

	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		write_pages(counts[i]);
		ck_assert_ptr_null(read_back(&t));
		expect_pages(&t, counts[i]);
		trace_fini(&t);
	}
}
END_TEST

START_TEST(blocks_are_dense)
{
	struct trace t;

	trace_init(&t);
	ck_assert(trace_add(&t, (1ull << 50) + 5, 0));
	ck_assert(trace_add(&t, 3, 0));
	ck_assert(trace_add(&t, (1ull << 50) + 6, 0));
	ck_assert(trace_add(&t, 3, 0));
	ck_assert(trace_finish(&t));
	ck_assert_uint_eq(t.page[0], (1ull << 50) % 512 + 5);
	ck_assert_uint_eq(t.page[1], 512 + 3);
	ck_assert_uint_eq(t.page[2], t.page[0] + 1);
	ck_assert_uint_eq(t.page[3], t.page[1]);
	ck_assert_uint_eq(t.pages, 2 * 512);
	ck_assert_uint_eq(t.touched, 3);
	trace_fini(&t);
}
END_TEST

enum { THREADS = 4, EACH = 5000 };

static void *record(void *arg)
{
	struct trace_part *part = arg;
	unsigned i;

	for (i = 0; i < EACH; i++)
		trace_record(part, part->thread * 512 + i % 512, 0);
	trace_part_flush(part);
	return NULL;
}

/* The accesses of a thread come back complete and in order. */
START_TEST(threads_keep_their_order)
{
	struct trace_file *f = trace_create(path);
	static struct trace_part parts[THREADS];
	unsigned i, next[THREADS] = {0}, number[THREADS] = {0};
	pthread_t threads[THREADS];
	struct trace t;

	ck_assert_ptr_nonnull(f);
	for (i = 0; i < THREADS; i++) {
		trace_part_init(&parts[i], f, i);
		pthread_create(&threads[i], NULL, record, &parts[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(trace_close(f), 0);
	ck_assert_ptr_null(read_back(&t));
	ck_assert_uint_eq(t.accesses, THREADS * EACH);
	for (i = 0; i < t.accesses; i++) {
		unsigned thread = t.page[i] / 512;

		ck_assert_uint_lt(thread, THREADS);
		ck_assert_uint_eq(t.page[i] % 512, next[thread] % 512);
		next[thread]++;
		number[thread]++;
	}
	for (i = 0; i < THREADS; i++)
		ck_assert_uint_eq(number[i], EACH);
	trace_fini(&t);
}
END_TEST

static size_t file_bytes(uint8_t **bytes)
{
	FILE *in = fopen(path, "re");
	size_t n;

	ck_assert_ptr_nonnull(in);
	*bytes = malloc(1 << 20);
	ck_assert_ptr_nonnull(*bytes);
	n = fread(*bytes, 1, 1 << 20, in);
	fclose(in);
	return n;
}

START_TEST(every_shorter_file_is_refused)
{
	struct trace t;
	uint8_t *bytes;
	size_t n, i;

	write_pages(600);
	n = file_bytes(&bytes);
	for (i = 0; i < n; i++) {
		ck_assert_ptr_nonnull(read_bytes(bytes, i, &t));
		ck_assert_uint_le(t.accesses, 600);
		trace_fini(&t);
	}
	ck_assert_ptr_null(read_bytes(bytes, n, &t));
	trace_fini(&t);
	free(bytes);
}
END_TEST

/* Any byte may be wrong: refused, or other accesses, but no more of them. */
START_TEST(wrong_bytes_do_no_harm)
{
	uint64_t seed = 88172645463325252ull;
	struct trace t;
	uint8_t *bytes;
	size_t n, i;
	uint8_t old;

	write_pages(600);
	n = file_bytes(&bytes);
	for (i = 0; i < 20000; i++) {
		size_t at;

		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		at = seed % n;
		old = bytes[at];
		bytes[at] = (uint8_t)(seed >> 32);
		read_bytes(bytes, n, &t);
		ck_assert_uint_le(t.accesses, 600);
		trace_fini(&t);
		bytes[at] = old;
	}
	free(bytes);
}
END_TEST

#define HEADER		     "vvmtrace\1\0\0\0\0\x10\0\0"
#define PART(records, bytes) "\0\0\0\0" records "\0\0\0" bytes "\0\0\0"
#define END		     PART("\0", "\0")

START_TEST(hostile_files_are_refused)
{
#define X(text)                        \
	{                              \
		text, sizeof(text) - 1 \
	}
	static const struct {
		const char *bytes;
		size_t n;
	} files[] = {
		X(""),
		X("vvmtracf\1\0\0\0\0\x10\0\0" END),
		X("vvmtrace\2\0\0\0\0\x10\0\0" END),
		X("vvmtrace\1\0\0\0\0\x20\0\0" END),
		X(HEADER),
		X(HEADER END "x"),
		/* more records than bytes, bytes than records */
		X(HEADER PART("\2", "\1") "\4" END),
		X(HEADER PART("\1", "\2") "\4\4" END),
		/* too many of either */
		X(HEADER "\0\0\0\0\1\1\0\0\1\1\0\0"),
		X(HEADER "\0\0\0\0\1\0\0\0\xff\xff\xff\xff\4" END),
		/* a number that does not end, one of more than 64 bits */
		X(HEADER PART("\1", "\1") "\x84" END),
		X(HEADER PART(
			"\1",
			"\13") "\x84\x80\x80\x80\x80\x80\x80\x80\x80\x80\1" END),
		/* page -1 */
		X(HEADER PART("\1", "\1") "\4" END),
		/* page 2^60 */
		X(HEADER PART(
			"\1",
			"\11") "\x80\x80\x80\x80\x80\x80\x80\x80\x40" END),
	};
#undef X
	struct trace t;
	unsigned i;

	for (i = 0; i < sizeof(files) / sizeof(*files); i++) {
		ck_assert_msg(read_bytes(files[i].bytes, files[i].n, &t),
			      "file %u was accepted", i);
		ck_assert_uint_eq(t.accesses, 0);
		trace_fini(&t);
	}
	/* and an empty one is not hostile */
	ck_assert_ptr_null(read_bytes(HEADER END, sizeof(HEADER END) - 1, &t));
	trace_fini(&t);
}
END_TEST

START_TEST(a_full_disk_is_noticed)
{
	struct trace_file *f = trace_create("/dev/full");
	struct trace_part part;
	unsigned i;

	if (!f)
		return; /* no such device here */
	trace_part_init(&part, f, 0);
	for (i = 0; i < 100000; i++)
		trace_record(&part, i * 1000, 0);
	trace_part_flush(&part);
	ck_assert_int_eq(trace_close(f), ENOSPC);
	ck_assert_ptr_null(trace_create("/no such directory/trace"));
}
END_TEST

static const char *read_text(const char *text, struct trace *t)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	const char *wrong;

	ck_assert_ptr_nonnull(in);
	trace_init(t);
	wrong = trace_read_lackey(t, in);
	fclose(in);
	return wrong;
}

START_TEST(lackey_is_understood)
{
	static const char text[] =
		"==123== Lackey, an example Valgrind tool\n"
		"I  04001000,3\n"
		" L 1ffeffe7e8,8\n"
		" S 1ffeffe7f0,8\n" /* the same page: now written */
		" M 00005ffc,8\n"   /* across a page boundary */
		"I  04001003,5\n"   /* seen of late: left out */
		" L zzz,8\n"
		" X 00001000,8\n"
		" L 00001000\n"
		" L 00001000,9999\n"
		"nonsense\n";
	struct trace t;

	ck_assert_ptr_null(read_text(text, &t));
	ck_assert_uint_eq(t.accesses, 4);
	ck_assert_uint_eq(t.touched, 4);
	ck_assert_uint_eq(t.page[0], 1); /* 0x4001: block 0, page 1 */
	ck_assert_uint_eq(t.flags[0], 0);
	ck_assert_uint_eq(t.page[1], 512 + 0x1ffeffe % 512);
	ck_assert_uint_eq(t.flags[1], TRACE_WRITE);
	ck_assert_uint_eq(t.page[2], 1024 + 5);
	ck_assert_uint_eq(t.page[3], 1024 + 6);
	ck_assert_uint_eq(t.flags[3], TRACE_WRITE);
	trace_fini(&t);
	ck_assert_ptr_nonnull(read_text("no trace\n", &t));
	trace_fini(&t);
}
END_TEST

/* The filter forgets a page after 16 others. */
START_TEST(lackey_filter_has_16_pages)
{
	char text[4096] = "";
	struct trace t;
	unsigned i;

	for (i = 0; i < 16; i++)
		sprintf(text + strlen(text), " L %x000,8\n", i + 1);
	for (i = 0; i < 16; i++)
		sprintf(text + strlen(text), " L %x000,8\n", i + 1);
	ck_assert_ptr_null(read_text(text, &t));
	ck_assert_uint_eq(t.accesses, 16);
	trace_fini(&t);
	sprintf(text + strlen(text), " L 11000,8\n L 1000,8\n L 2000,8\n");
	ck_assert_ptr_null(read_text(text, &t));
	ck_assert_uint_eq(t.accesses, 19);
	trace_fini(&t);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "trace");

	tcase_add_test(tc, comes_back);
	tcase_add_test(tc, blocks_are_dense);
	tcase_add_test(tc, threads_keep_their_order);
	tcase_add_test(tc, every_shorter_file_is_refused);
	tcase_add_test(tc, wrong_bytes_do_no_harm);
	tcase_add_test(tc, hostile_files_are_refused);
	tcase_add_test(tc, a_full_disk_is_noticed);
	tcase_add_test(tc, lackey_is_understood);
	tcase_add_test(tc, lackey_filter_has_16_pages);
}

const struct test_program test_program = {
	.name = "bench_trace",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
};
