/* SPDX-License-Identifier: MIT */
/*
 * fuzz/swap.c - a swap file (swap/swap.c) that somebody damages between write
 * and read, and a disk that fails.
 *
 * An input is a list of orders: take slots and write pages to them; give slots
 * back; hold the slots in use, as a fork does, and release them; change the
 * file behind the swap's back: bytes, whole pages that are zero, another's, or
 * what was there before, a file that is cut; make reads, writes or the growth
 * of the file fail; read pages, some of them under a wrong address, with each
 * way of transfer. The model (fuzz/model.h) knows what each slot should hold; a
 * page may be bad only if the file is not what was written, or the disk was made
 * to fail.
 */
#include "fuzz/model.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "swap/swap.h"
#include "support/random.h"
#include "util/log.h"
#include "os/os.h"

#define WAYS 3 /* no ring, its twin on system calls, io_uring */

static struct ring *ring[WAYS];
static int file; /* the swap file, as somebody else has it */

/* ---- the file ---- */

static void open_swap(void)
{
	const char *tmp = getenv("TMPDIR");
	static struct conf conf;
	struct backing *swap;
	char dir[256];

	conf_defaults(&conf);
	snprintf(dir, sizeof(dir), "%s/vvm-fuzz-swap.XXXXXX",
		 tmp ? tmp : "/var/tmp");
	MUST(mkdtemp(dir));
	snprintf(conf.swap_path, sizeof(conf.swap_path), "%s/file", dir);
	conf.swap_limit_bytes = MODEL_SLOTS * PAGE_BYTES;
	conf.swap_direct = false;
	MUST_EQ(swap_open(&swap, &conf), 0);
	file = open(conf.swap_path, O_RDWR | O_CLOEXEC);
	MUST(file >= 0);
	MUST_EQ(unlink(conf.swap_path) | rmdir(dir), 0);
	model_begin(swap);
}

static void set_up(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	log_set_level(LOG_NONE);
	MUST_EQ(ring_open(&ring[1], 4, VVM_IO_SYNC), 0);
	if (ring_open(&ring[2], 4, VVM_IO_URING))
		ring[2] = NULL; /* not permitted here */
}

void model_fill(char *to, unsigned page, uint32_t version)
{
	uint64_t words[PAGE_BYTES / 8];

	live_fill(words, page, version);
	memcpy(to, words, sizeof(words));
}

bool model_free(unsigned slot)
{
	(void)slot;
	return true;
}

const bool model_reads_held = true, model_knows_addresses = true;

/* Is that page of the file not what was written to the slot? */
bool model_damaged(unsigned s)
{
	char there[PAGE_BYTES], good[PAGE_BYTES];

	if (pread(file, there, PAGE_BYTES, (off_t)pages_to_bytes(s)) !=
	    (ssize_t)PAGE_BYTES)
		return true;
	model_fill(good, model_cell[s].page, model_cell[s].version);
	return memcmp(there, good, PAGE_BYTES) != 0;
}

static void write_file(unsigned s, const void *bytes, size_t n, size_t at)
{
	MUST_EQ(pwrite(file, bytes, n, (off_t)(pages_to_bytes(s) + at)), n);
}

static void damage(unsigned s, unsigned how, unsigned a)
{
	char page[PAGE_BYTES] = {0};
	unsigned other = 1 + a % MODEL_SLOTS;
	uint8_t byte = (uint8_t)(a >> 8);

	switch (how % 6) {
	case 0:
		write_file(s, &byte, 1, a % PAGE_BYTES);
		return;
	case 1: /* a part was not written */
		write_file(s, page, 512, a % 8 * 512);
		return;
	case 2: /* discarded */
		write_file(s, page, PAGE_BYTES, 0);
		return;
	case 3: /* another's write went astray */
		if (pread(file, page, PAGE_BYTES,
			  (off_t)pages_to_bytes(other)) > 0)
			write_file(s, page, PAGE_BYTES, 0);
		return;
	case 4: /* the last write was lost */
		model_fill(page, model_cell[s].page, model_cell[s].version - 1);
		write_file(s, page, PAGE_BYTES, 0);
		return;
	default: /* all that is read from there on is the end of the file */
		MUST_EQ(ftruncate(file, (off_t)pages_to_bytes(s)), 0);
	}
}

/* ---- orders ---- */

static void fail_disk(unsigned how, unsigned nth)
{
	static const enum os_point points[] = {OS_pread, OS_pwrite,
					       OS_fallocate, OS_pread};

	model_fail_disk(points[how % 4], 1 + nth % 4, nth & 8, how / 4);
}

static void obey(struct fuzz_input *in)
{
	unsigned what = fuzz_below(in, 16), a = fuzz_byte(in);
	unsigned at = 1 + fuzz_word(in) % MODEL_SLOTS;
	unsigned n = 1 + MIN(a % MODEL_RUN, MODEL_SLOTS - at);

	if (what < 4)
		model_take(ring[(a >> 6) % WAYS], 1 + a % MODEL_RUN, at, false);
	else if (what < 6)
		model_give(at % (what == 4 ? 64 : MODEL_SLOTS) + 1, n);
	else if (what < 10)
		model_read(ring[at % WAYS], a & 32 ? 1 + at % 64 : at, n,
			   a > 200 ? a % 8 : MODEL_RUN);
	else if (what < 13)
		damage(a & 1 ? 1 + at % 64 : at, a, fuzz_word(in));
	else if (what == 13)
		model_toggle_hold(a % MODEL_HOLDS);
	else if (what == 14)
		fail_disk(a, at);
	else
		model_mend_disk();
}

static void finish(void)
{
	unsigned way;

	model_mend_disk();
	for (way = 0; way < WAYS; way++)
		model_read_all(ring[way]);
	model_end();
	close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	set_up();
	model_mend_disk();
	open_swap();
	while (in.size)
		obey(&in);
	finish();
	return 0;
}

const long fuzz_runs = 100;

size_t fuzz_make(uint8_t *data, size_t most)
{
	return fuzz_make_bytes(data, 4, most < 200 ? most : 200);
}
