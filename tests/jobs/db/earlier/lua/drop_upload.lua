-- ARGV: prefix, owner, digest. Forget an upload; its file is collected. Returns the place of the file, or '' if there is
-- none.
return drop_upload(ARGV[1], ARGV[2], ARGV[3])
