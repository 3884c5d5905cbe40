/* SPDX-License-Identifier: MIT */
#include "support/strict.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON ---- */

static const char *json_value(const char *p);

static const char *json_space(const char *p)
{
	return p ? p + strspn(p, " \t\r\n") : NULL;
}

/* Each takes the text and returns what follows, NULL: not well-formed. */
static const char *json_string(const char *p)
{
	for (p++; *p != '"'; p++) {
		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p == '\\' && !strchr("\"\\/bfnrtu", *++p))
			return NULL;
	}
	return p + 1;
}

static const char *json_number(const char *p)
{
	size_t n;

	p += *p == '-';
	n = strspn(p, "0123456789");
	if (n == 0 || (n > 1 && *p == '0'))
		return NULL;
	p += n;
	if (*p == '.') {
		n = strspn(p + 1, "0123456789");
		p += n + 1;
	}
	if (n && (*p == 'e' || *p == 'E')) {
		p += 1 + (p[1] == '+' || p[1] == '-');
		n = strspn(p, "0123456789");
		p += n;
	}
	return n ? p : NULL;
}

static const char *json_list(const char *p, char end, bool keys)
{
	p = json_space(p + 1);
	if (*p == end)
		return p + 1;
	for (;;) {
		if (keys) {
			p = *p == '"' ? json_space(json_string(p)) : NULL;
			if (!p || *p++ != ':')
				return NULL;
		}
		p = json_space(json_value(json_space(p)));
		if (!p || (*p != ',' && *p != end))
			return NULL;
		if (*p++ == end)
			return p;
		p = json_space(p);
	}
}

static const char *json_value(const char *p)
{
	if (*p == '{')
		return json_list(p, '}', true);
	if (*p == '[')
		return json_list(p, ']', false);
	if (*p == '"')
		return json_string(p);
	if (!strncmp(p, "true", 4) || !strncmp(p, "null", 4))
		return p + 4;
	return strncmp(p, "false", 5) ? json_number(p) : p + 5;
}

const char *strict_json(const char *text)
{
	const char *p = json_space(json_value(json_space(text)));

	return p && !*p ? NULL : "not one JSON value";
}

/* ---- OpenMetrics ---- */

struct om {
	char family[128], type[16];
	bool help, unit, sampled;
	char seen[256][128]; /* families */
	unsigned families;
	char series[256]; /* of a histogram: its labels without le */
	double le, below; /* the bucket before */
	char last[512];	  /* sample: name and labels */
};

static size_t om_name(const char *p)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*p) && *p != '_' && *p != ':')
		return 0;
	while (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == ':')
		n++;
	return n;
}

/* A quoted, escaped text; returns behind it. */
static const char *om_quoted(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if (!*p || *p == '\n')
			return NULL;
		if (*p == '\\' && !strchr("\\\"n", *++p))
			return NULL;
	}
	return p + 1;
}

/* {a="b",c="d"}; copies le's value and the labels without it. */
static const char *om_labels(const char *p, char *le, char *others)
{
	*le = *others = '\0';
	if (*p != '{')
		return p;
	do {
		size_t n = om_name(++p);
		const char *name = p, *end;

		if (n == 0 || p[n] != '=' || memchr(p, ':', n))
			return NULL;
		end = om_quoted(p + n + 1);
		if (!end)
			return NULL;
		if (n == 2 && !strncmp(name, "le", 2))
			sprintf(le, "%.*s", (int)(end - p - 5), p + 4);
		else
			sprintf(others + strlen(others), "%.*s,",
				(int)(end - p), p);
		p = end;
	} while (*p == ',');
	return *p == '}' ? p + 1 : NULL;
}

static const char *om_type(struct om *m, const char *name, const char *type)
{
	unsigned i;

	if (strcmp(type, "counter") && strcmp(type, "gauge") &&
	    strcmp(type, "histogram"))
		return "unknown type";
	for (i = 0; i < m->families; i++)
		if (!strcmp(m->seen[i], name))
			return "a family twice, or in two parts";
	if (m->families && !m->sampled)
		return "a family without samples";
	strcpy(m->seen[m->families++], name);
	strcpy(m->family, name);
	strcpy(m->type, type);
	m->help = m->unit = m->sampled = false;
	m->series[0] = m->last[0] = '\0';
	return NULL;
}

static const char *om_comment(struct om *m, const char *line)
{
	char what[8], name[128], text[400];

	if (sscanf(line, "# %7s %127s %399[^\n]", what, name, text) != 3)
		return "a comment that is none of TYPE, UNIT, HELP";
	if (om_name(name) != strlen(name))
		return "not a name";
	if (!strcmp(what, "TYPE"))
		return om_type(m, name, text);
	if (strcmp(name, m->family) || m->sampled)
		return "metadata of another family, or behind samples";
	if (!strcmp(what, "UNIT")) {
		size_t n = strlen(name), u = strlen(text);

		if (m->unit || n <= u || strcmp(name + n - u, text) ||
		    name[n - u - 1] != '_')
			return "a unit that the name does not end in";
		m->unit = true;
	} else if (!strcmp(what, "HELP")) {
		char *p;

		if (m->help)
			return "help twice";
		for (p = text; *p; p++)
			if (*p == '"' || (*p == '\\' && !strchr("\\\"n", *++p)))
				return "help is not escaped";
		m->help = true;
	} else {
		return "unknown comment";
	}
	return NULL;
}

static const char *om_bucket(struct om *m, const char *le, const char *others,
			     double value)
{
	double bound = !strcmp(le, "+Inf") ? INFINITY : atof(le);

	if (!*le)
		return "a bucket without le";
	if (strcmp(others, m->series)) {
		strcpy(m->series, others);
		m->le = -INFINITY;
		m->below = 0;
	}
	if (bound <= m->le || value < m->below)
		return "buckets that do not ascend";
	m->le = bound;
	m->below = value;
	return NULL;
}

/* What follows the family's name is right for its type? */
static const char *om_suffix(struct om *m, const char *suffix, const char *le,
			     const char *others, double value)
{
	if (!strcmp(m->type, "gauge"))
		return *suffix ? "a gauge with a suffix" : NULL;
	if (!strcmp(m->type, "counter"))
		return strcmp(suffix, "_total")	   ? "a counter without _total"
		       : value < 0 || isnan(value) ? "a negative counter"
						   : NULL;
	if (!strcmp(suffix, "_bucket"))
		return om_bucket(m, le, others, value);
	if (strcmp(others, m->series) || !isinf(m->le))
		return "a histogram without +Inf";
	if (!strcmp(suffix, "_count"))
		return value == m->below ? NULL : "_count is not +Inf's bucket";
	return strcmp(suffix, "_sum") ? "unknown suffix" : NULL;
}

static const char *om_sample(struct om *m, const char *line)
{
	size_t n = om_name(line), family = strlen(m->family);
	char le[64], others[256], suffix[32] = "", *end;
	const char *p;
	double value;

	if (n < family || strncmp(line, m->family, family) || !family ||
	    n - family >= sizeof(suffix))
		return "a sample of another family";
	memcpy(suffix, line + family, n - family);
	p = om_labels(line + n, le, others);
	if (!p || *p != ' ' || isspace((unsigned char)p[1]))
		return "labels";
	if ((size_t)(p - line) == strlen(m->last) &&
	    !strncmp(m->last, line, strlen(m->last)))
		return "a sample twice";
	sprintf(m->last, "%.*s", (int)(p - line), line);
	value = strtod(p + 1, &end);
	if (end == p + 1 || *end != '\n')
		return "a value, and nothing behind it";
	m->sampled = true;
	return om_suffix(m, suffix, le, others, value);
}

const char *strict_openmetrics(const char *text)
{
	static struct om m;
	const char *error = NULL;

	memset(&m, 0, sizeof(m));
	for (; *text && !error; text = strchr(text, '\n') + 1) {
		if (!strchr(text, '\n'))
			return "no newline at the end";
		if (!strcmp(text, "# EOF\n"))
			return m.families && !m.sampled ? "no samples" : NULL;
		if (*text == '#')
			error = om_comment(&m, text);
		else
			error = om_sample(&m, text);
		if (error)
			fprintf(stderr, "%s: %.*s\n", error,
				(int)strcspn(text, "\n"), text);
	}
	return error ? error : "no # EOF at the end";
}
