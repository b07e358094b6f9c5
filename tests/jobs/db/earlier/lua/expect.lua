-- ARGV: prefix, id. Files are about to be stored for a job that is not submitted yet. If it never is, they are collected.
collect_later(ARGV[1], ARGV[2])
