# SPDX-License-Identifier: MIT
# Reads the tables of mutants, *.mut, for mutants.sh. In a table
#
#	file PATH		of the mutants that follow, from the top of the tree
#	tests PROGRAM...	that should notice them: unit/ring, script/library.sh,
#			or parts of a script, script/vvmrun.sh#ends+flags, whose
#			headings begin with "# ---- ends" and "# ---- flags"
#	mutant NAME: TEXT	what goes wrong then
#	-LINE  +LINE  " LINE"	taken out, put in, left as it is
#	tests PROGRAM...	that should notice this one
#	# ...			a comment
#
# Whole lines are meant, and they have to be in the file exactly once, together.
#
# -v mode=list		NAME, FILE, TESTS, separated by tabs
# -v mode=check		what is wrong, if anything is; the status is 1 then
# -v mode=apply -v only=NAME	the mutant's file as it is to be
# -v mode=show -v only=NAME	the mutant's lines in the table
# -v top=DIR		the top of the tree
function complain(text)
{
	print FILENAME ": " (name == "" ? "" : name ": ") text
	bad = 1
}

# The text of a file, with a newline before the first line.
function read_file(path,   line)
{
	if (path in text)
		return
	text[path] = "\n"
	while ((getline line <(top "/" path)) > 0)
		text[path] = text[path] line "\n"
	close(top "/" path)
}

function count_of(all, part,   at, n)
{
	for (n = 0; (at = index(all, part)); n++)
		all = substr(all, at + length(part) - 1)
	return n
}

function check(   n)
{
	if (name in seen)
		complain("there is another one of that name")
	seen[name] = 1
	if (harm == "")
		complain("says not what goes wrong")
	if (old == "\n" || old == new)
		complain("changes nothing")
	read_file(file)
	n = count_of(text[file], old)
	if (n != 1)
		complain("does not apply: its text is " \
			 (n ? n " times" : "not") " in " file)
	n = split(tests, program, " ")
	if (!n)
		complain("names no tests")
	for (; n > 0; n--)
		if (!test_exists(program[n]))
			complain("there is no test " program[n])
}

function test_exists(test,   path, part, n)
{
	path = test
	n = sub(/#.*/, "", path) ? split(substr(test, length(path) + 2), part,
		"+") : 0
	path = "tests/" path (path ~ /\.sh$/ ? "" : ".c")
	read_file(path)
	if (text[path] == "\n")
		return 0
	for (; n > 0; n--) {
		gsub(/-/, " ", part[n])
		if (!index(text[path], "\n# ---- " part[n]))
			return 0
	}
	return 1
}

function apply(   at)
{
	read_file(file)
	if (count_of(text[file], old) != 1) {
		bad = 1
		return
	}
	at = index(text[file], old)
	printf "%s%s%s", substr(text[file], 2, at - 1), substr(new, 2), \
		substr(text[file], at + length(old))
}

function end_mutant(   all)
{
	all = tests
	tests = own == "" ? all : own
	if (name != "" && (only == "" || name == only)) {
		count++
		if (mode == "list")
			print name "\t" file "\t" tests
		else if (mode == "check")
			check()
		else if (mode == "apply")
			apply()
		else
			printf "%s", lines
	}
	name = harm = lines = own = ""
	old = new = "\n"
	tests = all
}

FNR == 1 { end_mutant(); file = tests = "" }
/^mutant / {
	end_mutant()
	name = $2
	sub(/:$/, "", name)
	harm = $0
	if (!sub(/^mutant [a-z0-9-]+: */, "", harm)) {
		harm = ""
		complain("is no line 'mutant NAME: TEXT'")
	}
}
/^file / {
	end_mutant()
	file = $2
	tests = ""
}
/^tests / {
	value = $0
	sub(/^tests +/, "", value)
	if (name == "")
		tests = value
	else
		own = value
}
name != "" { lines = lines $0 "\n" }
/^-/ || /^ / { old = old substr($0, 2) "\n" }
/^[+]/ || /^ / { new = new substr($0, 2) "\n" }
!/^([-+ #]|mutant |file |tests |$)/ { complain("line " FNR " is nothing") }
END { end_mutant(); exit bad || !count }
