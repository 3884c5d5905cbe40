/* SPDX-License-Identifier: MIT */
/*
 * view_sites.c - which code of a process waits for pages (--sites).
 *
 * Where threads resolve their own faults, the library has counted since the
 * process began, and one look tells all. Where handler threads do, nobody knows
 * but who looks at the threads while they wait (sampler.c): without an interval
 * that is done for LOOK_US. A program that we start is watched to its end.
 *
 * One row is an address of code, by function, file and line as far as they are
 * known: longest waits first. The flame graph's input is one line for a
 * function, one frame deep. More would need the stack of a thread that waits:
 * its pages may be those that it waits for, and most code has no frame pointers.
 *
 * The mappings of the process are read each LOOKS_US, or less often if there are
 * many: it waits meanwhile where it changes them, so that takes at most
 * 1/COST_SHARE of the time. They are only believed if one of its spaces was open
 * before and after: else it may have ended. When it has executed another program
 * the numbers of the old space, which were read before, are looked up in the old
 * mappings first; those of a new one are read at the next look, and its mappings
 * at once.
 */
#define _GNU_SOURCE 1
#include "vvmstat/view_sites.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/tool.h"
#include "vvmstat/sampler.h"
#include "vvmstat/symbols.h"

#define LOOK_US	   2000000u
#define LOOKS_US   100000u
#define COST_SHARE 20u
#define ROWS	   25 /* of text */

struct watch {
	struct view *view;
	struct target *t;
	struct sites sites;
	struct modules modules;
	struct sampler sampler;
	struct sample now;
	bool samples;	    /* there are handler threads */
	uint64_t since_us;  /* what is shown next began */
	uint64_t looked_us; /* at the segments */
	uint64_t maps_us;   /* when to read the mappings again */
	uint64_t maps_of;   /* spaces_of() then */
};

/* ------------------------------------------------------------------ */
/* Names								*/

struct name {
	struct symbol symbol;
	char site[SYMBOL_BYTES + 24]; /* "function+0x12", "file+0x1234" */
	char module[SYMBOL_BYTES];
	char source[SYMBOL_BYTES + 16]; /* "file.c:12" or "" */
};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void name_special(struct name *n, const struct site *s)
{
	const char *text = s->ip == VVM_STAT_SITE_OTHERS  ? "[others]"
			   : s->ip == VVM_STAT_SITE_CALLS ? "[calls of libvvm]"
							  : s->place.kind;

	snprintf(n->module, sizeof(n->module), "%s", text ? text : "[?]");
	if (s->ip < VVM_STAT_SITE_CODE)
		snprintf(n->site, sizeof(n->site), "%s", n->module);
	else
		snprintf(n->site, sizeof(n->site), "0x%" PRIx64, s->ip);
}

static void name_site(struct name *n, const struct site *s)
{
	const struct module *m = s->place.module;

	*n = (struct name){.symbol = {.line = 0}};
	if (!m) {
		name_special(n, s);
		return;
	}
	symbols_find(m->symbols, s->place.offset, &n->symbol);
	snprintf(n->module, sizeof(n->module), "%s", m->path);
	if (n->symbol.function[0])
		snprintf(n->site, sizeof(n->site), "%s+0x%" PRIx64,
			 n->symbol.function, n->symbol.offset);
	else
		snprintf(n->site, sizeof(n->site), "%.200s+0x%" PRIx64,
			 last_part(m->path), s->place.offset);
	if (n->symbol.source[0])
		snprintf(n->source, sizeof(n->source), "%s:%u",
			 last_part(n->symbol.source), n->symbol.line);
}

/* ------------------------------------------------------------------ */
/* Forms								*/

static double share_pct(uint64_t part, uint64_t all)
{
	return all ? 100 * (double)part / (double)all : 0;
}

static void put_count(uint64_t n)
{
	char text[32];

	view_number(text, sizeof(text), 6, (double)n);
	printf(" %6s", n ? text : "-");
}

static void print_row(const struct site *s, double pct, double sum_pct)
{
	struct name n;

	name_site(&n, s);
	printf("%10.1f %5.1f %5.1f", (double)s->wait_ns / 1e6, pct, sum_pct);
	put_count(s->faults);
	put_count(s->stalls);
	put_count(s->seen);
	printf("  %s", n.site);
	if (n.source[0])
		printf(" %s", n.source);
	if (strcmp(n.site, n.module))
		printf(" (%s)", last_part(n.module));
	putchar('\n');
}

static void print_table(struct watch *w, struct site **rank, size_t n,
			uint64_t wait_ns, double seconds)
{
	uint64_t sum = 0;
	size_t i;

	if (w->view->started)
		putchar('\n');
	w->view->started = true;
	printf("waited %.3f s in %.3f s; %zu sites\n", (double)wait_ns / 1e9,
	       seconds, n);
	printf("%10s %5s %5s %6s %6s %6s  %s\n", "ms", "%", "cum%", "faults",
	       "stalls", "seen", "site");
	for (i = 0; i < n && i < ROWS; i++) {
		sum += rank[i]->wait_ns;
		print_row(rank[i], share_pct(rank[i]->wait_ns, wait_ns),
			  share_pct(sum, wait_ns));
	}
}

static void put_record(struct watch *w, const struct site *s, double pct,
		       double sum_pct)
{
	char address[20];
	struct record r;
	struct name n;

	name_site(&n, s);
	view_record_head(&r, w->t, &w->now);
	snprintf(address, sizeof(address), "%" PRIx64,
		 s->ip < VVM_STAT_SITE_CODE ? 0 : s->ip);
	record_text(&r, "site", n.site);
	record_text(&r, "address", address);
	record_text(&r, "function", n.symbol.function);
	record_uint(&r, "function_offset", n.symbol.offset);
	record_text(&r, "source", n.symbol.source);
	record_uint(&r, "line", n.symbol.line);
	record_text(&r, "module", n.module);
	record_uint(&r, "module_offset", s->place.offset);
	record_uint(&r, "faults", s->faults);
	record_uint(&r, "stalls", s->stalls);
	record_uint(&r, "seen", s->seen);
	record_uint(&r, "wait_us", s->wait_ns / 1000);
	record_real(&r, "share_pct", pct);
	record_real(&r, "cumulated_pct", sum_pct);
	output_record(&w->view->output, &r);
}

static void put_records(struct watch *w, struct site **rank, size_t n,
			uint64_t wait_ns)
{
	uint64_t sum = 0;
	size_t i;

	output_group(&w->view->output, "site", w->now.unix_us);
	for (i = 0; i < n; i++) {
		sum += rank[i]->wait_ns;
		put_record(w, rank[i], share_pct(rank[i]->wait_ns, wait_ns),
			   share_pct(sum, wait_ns));
	}
	output_group_end(&w->view->output);
}

/* A frame of a flame graph: ';' separates them, and a line ends them. */
static void put_frame(const char *text)
{
	for (; *text; text++)
		putchar(*text == ';' ? ':' : *text);
}

struct folded {
	char module[SYMBOL_BYTES];
	char function[SYMBOL_BYTES + 24];
	uint64_t wait_ns;
};

static int compare_folded(const void *a, const void *b)
{
	const struct folded *x = a, *y = b;
	int order = strcmp(x->module, y->module);

	return order ? order : strcmp(x->function, y->function);
}

/* The sites of one function are one line. */
static size_t fold(struct folded *f, size_t n)
{
	size_t i, kept = 0;

	if (n)
		qsort(f, n, sizeof(*f), compare_folded);
	for (i = 0; i < n; i++) {
		if (kept && !compare_folded(&f[kept - 1], &f[i]))
			f[kept - 1].wait_ns += f[i].wait_ns;
		else
			f[kept++] = f[i];
	}
	return kept;
}

static void print_folded(struct watch *w, struct site **rank, size_t n)
{
	struct folded *f = calloc(n + 1, sizeof(*f));
	struct name name;
	size_t i;

	if (!f)
		tool_die(TOOL_FAILED, "out of memory");
	for (i = 0; i < n; i++) {
		name_site(&name, rank[i]);
		snprintf(f[i].module, sizeof(f[i].module), "%s",
			 last_part(name.module));
		snprintf(f[i].function, sizeof(f[i].function), "%s",
			 name.symbol.function[0] ? name.symbol.function
						 : name.site);
		f[i].wait_ns = rank[i]->wait_ns;
	}
	n = fold(f, n);
	for (i = 0; i < n; i++) {
		if (f[i].wait_ns < 1000)
			continue;
		put_frame(w->t->command);
		putchar(';');
		put_frame(f[i].module);
		if (strcmp(f[i].module, f[i].function)) {
			putchar(';');
			put_frame(f[i].function);
		}
		printf(" %" PRIu64 "\n", f[i].wait_ns / 1000);
	}
	free(f);
}

static void show(struct watch *w)
{
	uint64_t wait_ns, now_us = tool_now_us();
	struct site **rank;
	size_t n;

	rank = sites_rank(&w->sites, &n, &wait_ns);
	if (!rank)
		tool_die(TOOL_FAILED, "out of memory");
	if (w->view->folded)
		print_folded(w, rank, n);
	else if (w->view->output.form != OUTPUT_TEXT)
		put_records(w, rank, n, wait_ns);
	else
		print_table(w, rank, n, wait_ns,
			    w->since_us ? (double)(now_us - w->since_us) / 1e6
					: view_uptime_s(&w->now));
	fflush(stdout);
	free(rank);
	w->since_us = now_us;
	sites_forget(&w->sites);
}

/* ------------------------------------------------------------------ */
/* Looks								*/

static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Says which spaces are open: another program has others. */
static uint64_t spaces_of(const struct target *t)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < t->spaces; i++)
		sum = sum * 31 + t->space[i].segment.opened_unix_us;
	return sum;
}

static void read_mappings(struct watch *w)
{
	uint64_t start_us = cpu_us();
	char *text = modules_text(&w->modules);

	target_sample(w->t, &w->now);
	if (text && w->t->spaces && modules_parse(&w->modules, text))
		w->maps_of = spaces_of(w->t);
	free(text);
	w->maps_us = tool_now_us() + (cpu_us() - start_us) * COST_SHARE;
}

/* Reads all that may change or vanish. last: before it is shown. */
static void look(struct watch *w, bool last)
{
	bool known;

	/* Before spaces that are closed are given up, and their last numbers. */
	if (sites_read(&w->sites, w->t))
		tool_die(TOOL_FAILED, "out of memory");
	known = sites_resolve(&w->sites, &w->modules);
	target_sample(w->t, &w->now);
	if (w->t->spaces && (tool_now_us() >= w->maps_us || (last && !known) ||
			     spaces_of(w->t) != w->maps_of))
		read_mappings(w);
	sites_resolve(&w->sites, &w->modules);
	if (w->t->spaces)
		w->samples = !w->now.value[VALUE_inline_faults];
	w->looked_us = tool_now_us();
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Watches until then. */
static enum target_event watch_until(struct watch *w, uint64_t until_us,
				     int wake_fd)
{
	enum target_event event = TARGET_DUE;
	uint64_t now_us = tool_now_us(), next_us;

	while (event == TARGET_DUE && now_us < until_us) {
		if (w->samples && now_us >= w->sampler.next_us)
			sampler_look(&w->sampler, &w->sites.all);
		if (now_us >= w->looked_us + LOOKS_US)
			look(w, false);
		next_us = sooner(until_us, w->looked_us + LOOKS_US);
		if (w->samples)
			next_us = sooner(next_us, w->sampler.next_us);
		event = target_wait(w->t, next_us, wake_fd);
		now_us = tool_now_us();
	}
	look(w, true);
	return event;
}

static void say_what_is_missing(const struct watch *w)
{
	if (w->samples && w->sampler.denied)
		tool_warn("the threads of process %d may not be looked at: as "
			  "root, with kernel.yama.ptrace_scope=0, or start it "
			  "with -e",
			  w->t->pid);
	else if (w->modules.denied)
		tool_warn("the mappings of process %d may not be read: "
			  "addresses only",
			  w->t->pid);
	if (w->sites.all.full || w->sites.last.full)
		tool_warn("process %d has too many sites: some were left out",
			  w->t->pid);
	if (w->sampler.many)
		tool_warn("process %d has too many threads: some were not "
			  "looked at",
			  w->t->pid);
}

static void begin(struct watch *w, struct view *v, struct target *t)
{
	*w = (struct watch){.view = v, .t = t};
	sites_init(&w->sites);
	modules_init(&w->modules, t->pid);
	sampler_init(&w->sampler, t->pid);
	look(w, true);
}

static void end(struct watch *w)
{
	say_what_is_missing(w);
	sites_fini(&w->sites);
	modules_fini(&w->modules);
	sampler_fini(&w->sampler);
}

/* One table: of all that was, or of what can be seen. */
static enum target_event once(struct watch *w, bool launched, int wake_fd)
{
	enum target_event event = TARGET_DUE;

	if (launched) {
		w->since_us = tool_now_us();
		event = watch_until(w, UINT64_MAX, wake_fd);
	} else if (w->samples) {
		w->since_us = tool_now_us();
		event = watch_until(w, w->since_us + LOOK_US, wake_fd);
	}
	show(w);
	return event;
}

static enum target_event each(struct watch *w, uint64_t interval_us,
			      uint64_t count, int wake_fd)
{
	enum target_event event = TARGET_DUE;
	uint64_t due_us = tool_now_us();

	sites_forget(&w->sites);
	w->since_us = due_us;
	for (; count && event == TARGET_DUE && !ferror(stdout); count--) {
		due_us += interval_us;
		event = watch_until(w, due_us, wake_fd);
		show(w);
	}
	return event;
}

int view_sites(struct view *v, struct target *t, double seconds, uint64_t count,
	       bool launched, int wake_fd)
{
	enum target_event event;
	struct watch w;

	begin(&w, v, t);
	if (seconds > 0)
		event = each(&w, (uint64_t)(seconds * 1e6), count, wake_fd);
	else
		event = once(&w, launched, wake_fd);
	end(&w);
	if (event != TARGET_ENDED)
		return TOOL_OK;
	if (!launched)
		tool_warn("process %d ended", t->pid);
	return TOOL_ENDED;
}
