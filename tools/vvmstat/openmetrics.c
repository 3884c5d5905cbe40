/* SPDX-License-Identifier: MIT */
/*
 * openmetrics.c - the counters of all processes in OpenMetrics 1.0 text.
 *
 * Names, types and help come from the tables of vvm_stat.h, so a new counter
 * appears here by itself: COUNT is a counter, GAUGE and values are gauges,
 * "vvm_" before the name. Times are in seconds, as the format demands: a
 * name that ends in _us ends in _seconds here. Processes are told apart by
 * the labels pid and command.
 *
 * A format demands that all samples of one family are together, so the loop
 * over families is the outer one, over processes the inner one.
 *
 * Two readers. A scraper that asks for OpenMetrics reads all of it.
 * node_exporter's textfile collector parses the older text format 0.0.4, for
 * which "# EOF" and "# UNIT" are comments; a counter's TYPE line names the
 * family without "_total", so it takes our counters as untyped, which rate()
 * does not mind. The other way round, TYPE lines with "_total", a strict
 * OpenMetrics parser refuses the whole text. Neither wants timestamps here.
 *
 * The histogram has one bucket for each power of two; the library's has
 * eight. Its sum is computed from the middles of those, so it may be off by
 * a few per cent.
 */
#include "vvmstat/openmetrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* Bounds of the histogram: 2^10 ns, about 1 us, to 2^34 ns, about 17 s. */
#define FIRST_POWER 10
#define LAST_POWER  34

#define US_PER_S 1e6

struct writer {
	FILE *out;
	const struct metric_source *source;
	unsigned sources;
};

/* Escapes what must not stand in a label's value or a help text. */
static void put_escaped(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			fputs("\\n", out);
		else if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else
			fputc(*s, out);
	}
}

static void put_head(FILE *out, const char *name, const char *type,
		     const char *unit, const char *help)
{
	fprintf(out, "# TYPE vvm_%s %s\n", name, type);
	if (unit)
		fprintf(out, "# UNIT vvm_%s %s\n", name, unit);
	fprintf(out, "# HELP vvm_%s ", name);
	put_escaped(out, help);
	fputc('\n', out);
}

static void put_labels(FILE *out, const struct metric_source *s)
{
	fprintf(out, "{pid=\"%d\",command=\"", s->pid);
	put_escaped(out, s->command);
	fputc('"', out);
}

/* "vvm_name_suffix{labels} " */
static void put_name(FILE *out, const char *name, const char *suffix,
		     const struct metric_source *s)
{
	fprintf(out, "vvm_%s%s", name, suffix);
	put_labels(out, s);
	fputs("} ", out);
}

/* Takes "_us" off; returns whether it was there. */
static bool in_seconds(const char *name, char *buf, size_t size)
{
	size_t n = strlen(name);

	snprintf(buf, size, "%s", name);
	if (n < 3 || strcmp(name + n - 3, "_us"))
		return false;
	snprintf(buf + n - 3, size - n + 3, "_seconds");
	return true;
}

static const char *unit_of(const char *name)
{
	static const char *const units[] = {"seconds", "bytes", "pages"};
	size_t i, n = strlen(name);

	for (i = 0; i < sizeof(units) / sizeof(*units); i++) {
		size_t u = strlen(units[i]);

		if (n > u && name[n - u - 1] == '_' &&
		    !strcmp(name + n - u, units[i]))
			return units[i];
	}
	return NULL;
}

static void put_counter(const struct writer *w, unsigned c)
{
	bool gauge = sample_counter_is_gauge(c);
	char name[64];
	bool time = in_seconds(sample_counter_name(c), name, sizeof(name));
	unsigned i;

	put_head(w->out, name, gauge ? "gauge" : "counter", unit_of(name),
		 sample_counter_help(c));
	for (i = 0; i < w->sources; i++) {
		int64_t value = w->source[i].now.counter[c];

		if (value < 0) /* a sum of a moment, or damaged */
			value = 0;
		put_name(w->out, name, gauge ? "" : "_total", &w->source[i]);
		if (time)
			fprintf(w->out, "%.15g\n", (double)value / US_PER_S);
		else
			fprintf(w->out, "%" PRId64 "\n", value);
	}
}

static void put_value(const struct writer *w, unsigned v)
{
	const char *name = sample_value_name(v);
	unsigned i;

	put_head(w->out, name, "gauge", unit_of(name), sample_value_help(v));
	for (i = 0; i < w->sources; i++) {
		put_name(w->out, name, "", &w->source[i]);
		fprintf(w->out, "%" PRIu64 "\n", w->source[i].now.value[v]);
	}
}

static void put_histogram(FILE *out, const struct metric_source *s)
{
	uint64_t below = 0;
	unsigned i = 0, power;

	for (power = FIRST_POWER; power <= LAST_POWER; power++) {
		uint64_t bound = (uint64_t)1 << power;

		for (; i < VVM_STAT_BUCKETS && vvm_stat_bucket_ns(i) < bound;
		     i++)
			below += s->now.latency[i];
		fputs("vvm_fault_latency_seconds_bucket", out);
		put_labels(out, s);
		fprintf(out, ",le=\"%.12g\"} %" PRIu64 "\n",
			(double)bound / 1e9, below);
	}
	for (; i < VVM_STAT_BUCKETS; i++)
		below += s->now.latency[i];
	fputs("vvm_fault_latency_seconds_bucket", out);
	put_labels(out, s);
	fprintf(out, ",le=\"+Inf\"} %" PRIu64 "\n", below);
	put_name(out, "fault_latency_seconds", "_sum", s);
	fprintf(out, "%.9g\n", sample_latency_sum_us(&s->now) / US_PER_S);
	put_name(out, "fault_latency_seconds", "_count", s);
	fprintf(out, "%" PRIu64 "\n", below);
}

static size_t most(size_t a, size_t b)
{
	return a > b ? a : b;
}

void openmetrics_print(FILE *out, const struct metric_source *source,
		       unsigned sources)
{
	struct writer w = {out, source, sources};
	size_t counters = 0, values = 0;
	unsigned i;

	/* What no process has is no family. */
	for (i = 0; i < sources; i++) {
		counters = most(counters, sample_counters(&source[i].now));
		values = most(values, sample_values(&source[i].now));
	}
	for (i = 0; i < counters; i++)
		put_counter(&w, i);
	for (i = 0; i < values; i++)
		put_value(&w, i);
	put_head(out, "stalled_seconds", "gauge", "seconds",
		 "how long faults have not got on; 0: they do");
	for (i = 0; i < sources; i++) {
		put_name(out, "stalled_seconds", "", &source[i]);
		fprintf(out, "%.9g\n", sample_stalled_s(&source[i].now));
	}
	put_head(out, "kernel_faults", "counter", NULL,
		 "page faults of the process, as the kernel counts them");
	for (i = 0; i < sources; i++) {
		put_name(out, "kernel_faults", "_total", &source[i]);
		fprintf(out, "%" PRIu64 "\n", source[i].now.kernel_faults);
	}
	put_head(out, "fault_latency_seconds", "histogram", "seconds",
		 "from the fault event being read to the thread being woken");
	for (i = 0; i < sources; i++)
		put_histogram(out, &source[i]);
	fputs("# EOF\n", out);
}
