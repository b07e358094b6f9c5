-- ARGV: prefix, id, fence, sentence. Keep a sentence about the job, of one line, and append its event; not again if an earlier
-- execution kept the same sentence. Returns whether the execution owns the job.
local prefix, id, fence, sentence = unpack(ARGV)
if not owns(prefix, id, fence) then
  return 0
end
local job = prefix .. 'job:' .. id
local notes = redis.call('HGET', job, 'notes')
if notes and string.find('\n' .. notes .. '\n', '\n' .. sentence .. '\n', 1, true) then
  return 1
end
redis.call('HSET', job, 'notes', notes and notes .. '\n' .. sentence or sentence)
emit(prefix, id, 'log', 'level', 'warning', 'message', sentence)
return 1
