/* SPDX-License-Identifier: MIT */
/*
 * swap/place.c - where to swap when nobody has said where.
 *
 * The default is /var/tmp, which is on a disk nearly everywhere. In a container
 * it may be read-only, or not there, or a tmpfs: memory, which counts against
 * the limit of the container as the frames do. Then $TMPDIR and /tmp are looked
 * at. The first place on a disk is taken, else the first that can be used at
 * all: that saves no memory, but the program runs. A line in the log says what
 * was taken, and why.
 *
 * What the user has named is taken or refused; nothing else is tried. Free room
 * decides nothing: how much will be needed is not known.
 */
#include "swap/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"

/* There is no such place, or not for us. */
static bool is_missing(int err)
{
	return err == -ENOENT || err == -ENOTDIR || err == -EACCES ||
	       err == -EPERM || err == -EROFS;
}

static bool on_disk(int err, const struct swap_file *f)
{
	return !err && !os_in_memory(f->fd);
}

/* A file without a name in a directory; one that is not there is not made. */
static int open_in(const char *path, struct swap_file *f)
{
	enum os_file_type type;
	uint64_t bytes;
	int err = os_file_info(path, &type, &bytes);

	if (!err && type != OS_FILE_DIR)
		err = -ENOTDIR;
	return err ? err : swap_open_file(path, f);
}

/*
 * => *err, *f: what came of the place that conf names. Afterwards they and conf
 * are of the one that was taken, if any was.
 */
static void look_elsewhere(struct conf *conf, struct swap_file *f, int *err)
{
	const char *other[] = {secure_getenv("TMPDIR"), "/tmp"};
	struct swap_file g;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(other) && !on_disk(*err, f); i++) {
		if (!other[i] || *other[i] != '/' || open_in(other[i], &g))
			continue;
		if ((!*err && !on_disk(0, &g)) ||
		    conf_set(conf, "swap_path", other[i])) {
			os_close(g.fd);
			continue;
		}
		if (!*err)
			os_close(f->fd);
		*f = g;
		*err = 0;
	}
}

static void tell(const struct conf *conf, const struct swap_file *f,
		 bool elsewhere, int why)
{
	if (os_in_memory(f->fd))
		log_warn("swap is in %s, which is memory (tmpfs), so paging "
			 "saves none: set VVM_SWAP to a directory on a disk",
			 conf->swap_path);
	else if (elsewhere)
		log_warn("swap is in %s, as %s cannot be used (%s); VVM_SWAP "
			 "names another place",
			 conf->swap_path, conf_default("swap_path"),
			 why ? strerror(-why) : "it is memory");
}

int swap_open_place(struct conf *conf, bool quiet, struct swap_file *f)
{
	bool elsewhere = !strcmp(conf->swap_path, conf_default("swap_path"));
	int err = elsewhere ? open_in(conf->swap_path, f)
			    : swap_open_file(conf->swap_path, f),
	    why = err;

	elsewhere &= (is_missing(err) || !err) && !on_disk(err, f);
	if (elsewhere)
		look_elsewhere(conf, f, &err);
	if (!err && !quiet && *conf->swap_path)
		tell(conf, f, elsewhere, why);
	return err;
}
