-- Every key in Redis, after the prefix, with the script, function or module that writes it first. A test holds this map
-- to the code.
--
-- key                              type     holds                                                 written by          goes
-- job:<id>                         hash     the record of a job                                   submit              at deletion
-- jobs                             zset     all jobs by creation                                  submit              at deletion
-- status:<status>                  zset     the jobs of a status by creation                      submit, move        at deletion
-- tenants                          set      the tenants that have had a job, without the default    submit              never
-- jobs_of:<tenant>                 zset     the jobs of a tenant by creation                      submit              at deletion
-- status_of:<tenant>:<status>      zset     those of a status by creation                         submit, move        at deletion
-- label_of:<tenant>:<label>        zset     those of a label by creation                          submit              at deletion
-- finished                         zset     the ended jobs by their end                           finish              at deletion
-- waiting                          zset     the queue: waiting jobs by tag                        enqueue             at claim or end
-- waiting_cost                     string   units of work that they need together                 enqueue, dequeue    never
-- waiting_for:<model>              zset     the waiting jobs of a model by tag                    enqueue             at claim or end
-- waiting_since:<priority>         zset     those of a priority by creation                       enqueue             at claim or end
-- work_for                         hash     units of work that wait for each model                enqueue, dequeue    when nothing waits
-- executions_lost                  string   executions that ended with their worker               recover             never
-- aside                            zset     parked jobs, unreadable to old workers, by tag        release             at claim or end
-- rq:job:<ticket>                  hash     RQ's record of a ticket                                submit              when used
-- rq:queue:lodestar                list     the tickets that wait                                  submit              when taken
-- flows                            zset     the flows by the tag of their last job                count_in_flow       when passed
-- flows_of:<tenant>:<weight>       zset     those of a tenant, to divide its share among them      count_in_flow       after 24 h
-- virtual_time                     string   the least tag of the queue at the last claim          claim               never
-- leases                           zset     the running jobs by the end of their lease            claim, renew_many   at release or end
-- held:<worker>                    set      the jobs that a worker runs                           claim               at release or end
-- claimed:<worker>                 hash     the last claim of a worker, to repeat its answer      claim               after 10 min
-- drainer                          string   the worker that empties itself for a quarantined job  claim               after 30 s
-- kept_bytes                       string   bytes of all jobs in Redis                            weigh, delete       never
-- kept_file_bytes                  string   bytes of the files that were sent for all jobs        weigh, delete       never
-- inputs:<digest>                  set      the jobs that keep a picture                          keepers             at deletion
-- inputs_of:<tenant>:<digest>      set      likewise the jobs of a tenant                         keepers             at deletion
-- archived_until                   string   the end of the last ended job that was looked at to archive  queue/retention.py  never
-- orphans                          zset     folders of files to delete, by time                   collect_later       when deleted
-- upload:<owner>:<digest>          hash     a picture that a caller has uploaded                  keep_upload         when expired
-- uploads_of:<owner>               zset     the uploads of a caller by the end of their life      keep_upload         when expired
-- uploads                          zset     all uploads by the end of their life                  keep_upload         when expired
-- upload_bytes                     hash     bytes of the uploads of each caller, and of all       keep_upload         when expired
-- idempotency:<key>                hash     the job of an anonymous caller's key                  submit              after 24 h
-- idempotency_of:<owner>:<key>     hash     the job of a known caller's key                       submit              after 24 h
-- levels:<account>                 hash     the fill levels of an account's rates                 accounts            after it is empty
-- waiting_of:<account>             zset     the waiting jobs of an account with a limit of them   accounts            at claim or end
-- usage:<account>:<month>          hash     units, jobs, pictures and milliseconds of a month     accounts            after 400 d
-- events:<id>                      stream   the last 1000 events of a job, from its first start   append              1 h after the end
-- events                           stream   the last 10000 events of all jobs                     emit_of             never; capped
-- events_of:<tenant>               stream   the last 10000 events of a tenant's jobs              emit_of             after 24 h
-- previews:<id>                    hash     the newest preview of each picture                    note                1 min after the end
-- interrupts                       channel  ids of running jobs that are to stop                  cancel, delete      at once
-- advances                         channel  steps that running jobs have done                     renew_many          at once
-- webhook:<message>                hash     a message that is owed                                owe_webhook         when settled
-- webhooks                         zset     these messages by their next look                     owe_webhook         when settled
-- webhook_line:<caller> <host>     zset     the due messages of a caller to a host                deliver             when taken
-- webhook_callers                  zset     callers with due messages, by their turn              deliver             when empty
-- webhook_hosts:<caller>           zset     their hosts, by their turn                            deliver             when empty
-- webhook_sending:<kind>:<name>    zset     messages in hand for a host or a caller               deliver             with the lease
-- webhook_silence:<caller> <host>  hash     how often nobody answered, and until when to wait     delivered           after 24 h
-- webhook_secret                   string   the secret that signs messages by default             events/webhooks.py  never
-- worker:<name>                    string   the last heartbeat of a worker                        announce            after 15 s
-- workers                          set      the names of workers                                  announce            when silent
-- known_workers                    zset     the workers of the last hour by their last heartbeat  announce            1 h after it
-- last_heartbeat:<name>            string   the last heartbeat of each, and whether it stopped    announce            likewise
-- draining:<worker>                string   the start of a process that is to claim no more            queue/workers.py    1 h after its last heartbeat
-- holders:<model>                  zset     workers with room that hold a model                   announce            after 15 s
-- pace                             string   speed and load of all workers                         queue/pace.py       after 30 s
-- pool_speeds                      hash     the last speed of a worker of each pool               queue/pace.py       never
-- tallies                          hash     how many jobs ended, waited and ran how long          tally               never
-- reissued                         string   a mark that lost tickets were written again           queue/reaper.py     after 5 s
-- check                            string   a write that shows that Redis accepts writes          queue/queue.py      after 1 min
-- keys                             hash     the keys of callers, with hashes of their secrets         callers/keys.py     when revoked
-- key_uses                         hash     the day of each key's last use                        callers/keys.py     when revoked
-- changed_keys                     channel  ids of keys that were revoked or rotated              callers/keys.py     at once
-- tenant_records                   hash     what operators have set for tenants                   callers/tenants.py  when removed
-- audit                            stream   what administrators did                                 callers/audit.py    never; capped
-- audit_failures                   stream   who was refused                                         callers/audit.py    never; capped
-- link_secret                      string   signs the addresses of pictures                         callers/link_secrets.py  never
-- session:<digest>                 hash     the login of a browser                                callers/sessions.py  after 8 h unused
-- night:<id>                       hash     the record of a night                                 night_begin             some days after its end
-- nights                           zset     all nights by creation                                night_begin             when forgotten
-- nights_of:<tenant>               zset     those of a tenant                                     night_begin             when forgotten
-- open_nights                      zset     those that have not ended                             night_begin             when ended
-- night_jobs:<id>                  hash     its jobs that have not ended, by their pictures       night_reserve           when settled
-- night_scores:<id>                zset     the pictures that it holds by score                   night_settle            some days after its end
-- night_pictures:<id>              hash     the jobs of these                                     night_settle            some days after its end
-- night_race:<id>                  hash     when its pictures came, and what they scored          night_settle            some days after its end
-- night_turn:<id>                  string   the process that tends it                             nights/store.py         after 20 s
-- a1111:jobs:<caller>              list     the latest jobs of a caller of the A1111 API          a1111/callers.py    after 24 h
-- a1111:model:<caller>             string   the model that this caller has chosen                 a1111/callers.py    after 30 d
-- a1111:options:<caller>           hash     the options that this caller has set                  a1111/callers.py    after 30 d
--
-- RQ keeps its tickets beside these, under rq:*; the first one of a job is written with it. The prefix is {lodestar}: so that all keys lie in one slot of a cluster;
-- every script gets it as its one declared key too, which leads a cluster to the node. The keys of a script are found out
-- while it runs: declaring them would tell a cluster nothing more.

-- Shared by every script. All times are the server's, in microseconds, so that no other clock matters.
local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

-- Redis keeps numbers as doubles, which hold microseconds exactly until the year 2255; %.0f writes them without an
-- exponent.
local function whole(n)
  return string.format('%.0f', n)
end

-- The time of a new job, later than every other job's even if the clock was set back: places and cursors rely on it.
local function next_creation(prefix)
  local newest = redis.call('ZREVRANGE', prefix .. 'jobs', 0, 0, 'WITHSCORES')[2]
  return math.max(now_us(), (tonumber(newest) or 0) + 1)
end

-- The tenant of a job; nothing for the default one, of which are also the jobs of versions without tenants.
local function tenant_of(prefix, id)
  return redis.call('HGET', prefix .. 'job:' .. id, 'tenant')
end

-- Append an event to the stream of a job; its id. It is part of the change that it describes: no reader can miss one, or
-- see one that did not happen.
local function append(prefix, id, event, ...)
  return redis.call('XADD', prefix .. 'events:' .. id, 'MAXLEN', '~', 1000, '*', 'type', event, ...)
end

-- Append an event to the stream of all jobs, and to that of its tenant's.
local function tell_all(prefix, tenant, id, event, ...)
  if tenant then
    local stream = prefix .. 'events_of:' .. tenant
    redis.call('XADD', stream, 'MAXLEN', '~', 10000, '*', 'job_id', id, 'type', event, ...)
    redis.call('EXPIRE', stream, 86400)
    redis.call('XADD', prefix .. 'events', 'MAXLEN', '~', 10000, '*', 'job_id', id, 'tenant', tenant, 'type', event, ...)
  else
    redis.call('XADD', prefix .. 'events', 'MAXLEN', '~', 10000, '*', 'job_id', id, 'type', event, ...)
  end
end

-- The same event in all of them.
local function emit_of(prefix, tenant, id, event, ...)
  append(prefix, id, event, ...)
  tell_all(prefix, tenant, id, event, ...)
end

-- The first event of a job, when it leaves the queue for the first time. A job that waits has no stream, which would take
-- more memory than the rest of it: its readers put the same event in its place, see event_log.py.
local function begin_events(prefix, id)
  local events = prefix .. 'events:' .. id
  if redis.call('EXISTS', events) == 0 then
    local created = redis.call('HGET', prefix .. 'job:' .. id, 'created_us')
    redis.call('XADD', events, whole(math.floor(created / 1000)) .. '-0', 'type', 'queued', 'reason', 'submitted')
  end
end

local function emit(prefix, id, event, ...)
  emit_of(prefix, tenant_of(prefix, id), id, event, ...)
end

-- The jobs of a tenant that keep a picture; nobody finds out whether another tenant's do.
local function keepers(prefix, tenant, digest)
  return tenant and prefix .. 'inputs_of:' .. tenant .. ':' .. digest or prefix .. 'inputs:' .. digest
end

-- Owe the job's webhook a message, if it asked for this event. The message is stored in the same step as the change that
-- it tells of, and stays until it was delivered or given up: see deliver.lua and delivered.lua.
local function owe_webhook(prefix, id, event)
  local job = prefix .. 'job:' .. id
  local events, claims = unpack(redis.call('HMGET', job, 'webhook_events', 'claims'))
  if not events or not string.find(',' .. events .. ',', ',' .. event .. ',', 1, true) then
    return
  end
  -- A job may start several times, and ends once.
  local message = 'msg_' .. id .. '_' .. event .. (event == 'started' and '_' .. claims or '')
  local now = whole(now_us())
  redis.call('HSET', job, 'webhook_message', message, 'webhook_status', 'pending', 'webhook_attempts', 0)
  redis.call('HDEL', job, 'webhook_error')
  redis.call('HSET', prefix .. 'webhook:' .. message, 'job_id', id, 'event', event, 'attempts', 0, 'owed_us', now)
  redis.call('ZADD', prefix .. 'webhooks', now, message)
end

-- The queue of a caller's messages that are due at one host; and, while nobody answers the caller's there, how often that
-- has been so in a row and until when the host is left alone. Each caller finds that out for itself: another's may be
-- sent elsewhere on the same host.
local function webhook_queue(prefix, caller, host)
  return prefix .. 'webhook_line:' .. caller .. ' ' .. host
end

local function webhook_silence(prefix, caller, host)
  return prefix .. 'webhook_silence:' .. caller .. ' ' .. host
end

-- The messages that are in hand for a host or a caller, by the end of their lease.
local function webhook_sending(prefix, kind, name)
  return prefix .. 'webhook_sending:' .. kind .. ':' .. name
end

-- Say in a job how its newest message stands.
local function note_webhook(prefix, id, message, status, attempts, failure)
  local job = prefix .. 'job:' .. id
  if redis.call('HGET', job, 'webhook_message') ~= message then -- also when there is no such job any more
    return
  end
  redis.call('HSET', job, 'webhook_status', status, 'webhook_attempts', attempts)
  if failure == '' then
    redis.call('HDEL', job, 'webhook_error')
  else
    redis.call('HSET', job, 'webhook_error', failure)
  end
end

-- Owe a message no more. Without a status nothing is said in its job, which is gone.
local function end_webhook(prefix, message, status, failure)
  local delivery = prefix .. 'webhook:' .. message
  local id, attempts, caller, host = unpack(redis.call('HMGET', delivery, 'job_id', 'attempts', 'caller', 'host'))
  redis.call('DEL', delivery)
  redis.call('ZREM', prefix .. 'webhooks', message)
  if caller then
    redis.call('ZREM', webhook_queue(prefix, caller, host), message)
  end
  if status then
    note_webhook(prefix, id, message, status, attempts, failure)
  end
end

-- Change a job's status and its place in the indexes of statuses, which are ordered by creation.
local function move(prefix, id, from, to)
  local created, tenant, waits_with =
    unpack(redis.call('HMGET', prefix .. 'job:' .. id, 'created_us', 'tenant', 'waits_with'))
  redis.call('HSET', prefix .. 'job:' .. id, 'status', to)
  redis.call('ZREM', prefix .. 'status:' .. from, id)
  redis.call('ZADD', prefix .. 'status:' .. to, created, id)
  if from == 'queued' or to == 'queued' then
    note_waiting(prefix, id, waits_with, created, to == 'queued')
  end
  if tenant then
    redis.call('ZREM', prefix .. 'status_of:' .. tenant .. ':' .. from, id)
    redis.call('ZADD', prefix .. 'status_of:' .. tenant .. ':' .. to, created, id)
  end
end

-- The priority that a flow ends with: see flow_of in jobs/queue/order.py.
local function priority_of(flow)
  return string.match(flow or '', ':(%a+)$') or 'normal'
end

-- Wait at the job's own tag: see submit.lua.
local function enqueue(prefix, id)
  local tag, cost, model, flow, created =
    unpack(redis.call('HMGET', prefix .. 'job:' .. id, 'tag', 'cost', 'model', 'flow', 'created_us'))
  if redis.call('ZADD', prefix .. 'waiting', tag, id) == 1 then
    redis.call('INCRBY', prefix .. 'waiting_cost', cost)
    redis.call('ZADD', prefix .. 'waiting_for:' .. (model or ''), tag, id)
    redis.call('HINCRBY', prefix .. 'work_for', model or '', cost)
    redis.call('ZADD', prefix .. 'waiting_since:' .. priority_of(flow), created, id)
  end
end

-- Nothing waits: an older version may have left entries in the indexes that it does not know.
local function clear_lines(prefix)
  for _, model in ipairs(redis.call('HKEYS', prefix .. 'work_for')) do
    redis.call('DEL', prefix .. 'waiting_for:' .. model)
  end
  for _, priority in ipairs({'low', 'normal', 'high'}) do
    redis.call('DEL', prefix .. 'waiting_since:' .. priority)
  end
  redis.call('DEL', prefix .. 'work_for')
end

local function dequeue(prefix, id)
  if redis.call('ZREM', prefix .. 'waiting', id) == 1 then
    local cost, model, flow = unpack(redis.call('HMGET', prefix .. 'job:' .. id, 'cost', 'model', 'flow'))
    redis.call('DECRBY', prefix .. 'waiting_cost', cost)
    if redis.call('ZREM', prefix .. 'waiting_for:' .. (model or ''), id) == 1 then
      redis.call('HINCRBY', prefix .. 'work_for', model or '', -cost)
    end
    redis.call('ZREM', prefix .. 'waiting_since:' .. priority_of(flow), id)
    if redis.call('ZCARD', prefix .. 'waiting') == 0 then
      clear_lines(prefix)
    end
  end
  redis.call('ZREM', prefix .. 'aside', id)
end

-- Refund what a job was charged to its flow, because the job leaves the queue without having been worked on.
local function refund(prefix, id)
  local flow, share = unpack(redis.call('HMGET', prefix .. 'job:' .. id, 'flow', 'share'))
  if redis.call('ZSCORE', prefix .. 'flows', flow) then
    redis.call('ZINCRBY', prefix .. 'flows', -share, flow)
  end
end

-- The part of a running job's work that is not done, as its worker last told.
local function undone(prefix, id)
  local step, steps = unpack(redis.call('HMGET', prefix .. 'job:' .. id, 'step', 'steps'))
  return tonumber(steps or 0) > 0 and 1 - math.min(1, step / steps) or 1
end

-- The tag of a new job of a flow (see submit.lua), and the share of its tenant's work that it is charged with. The callers
-- of a tenant that have work in the queue divide its share.
local function place_in_queue(prefix, flow, weight, cost, tenant)
  local last = tonumber(redis.call('ZSCORE', prefix .. 'flows', flow) or 0)
  local virtual_time = tonumber(redis.call('GET', prefix .. 'virtual_time') or 0)
  local active = 1
  if tenant then
    local siblings = prefix .. 'flows_of:' .. tenant .. ':' .. weight
    local own = tonumber(redis.call('ZSCORE', siblings, flow) or 0)
    active = redis.call('ZCOUNT', siblings, '(' .. string.format('%.17g', virtual_time), '+inf')
      + (own > virtual_time and 0 or 1)
  end
  local share = cost / weight * active
  return math.max(virtual_time, last) + share, share, virtual_time
end

-- Note the tag of a flow's last job, and that the flow has work in its tenant's share.
local function count_in_flow(prefix, flow, weight, tag, tenant, virtual_time)
  tag = string.format('%.17g', tag)
  redis.call('ZADD', prefix .. 'flows', tag, flow)
  if tenant then
    local siblings = prefix .. 'flows_of:' .. tenant .. ':' .. weight
    redis.call('ZREMRANGEBYSCORE', siblings, '-inf', virtual_time)
    redis.call('ZADD', siblings, tag, flow)
    redis.call('EXPIRE', siblings, 86400)
  end
end

-- Take a running job from its worker.
local function end_lease(prefix, id)
  redis.call('ZREM', prefix .. 'leases', id)
  local worker = redis.call('HGET', prefix .. 'job:' .. id, 'worker')
  if worker then
    redis.call('SREM', prefix .. 'held:' .. worker, id)
  end
end

-- Files that an ended execution may have left behind, or may still write if its worker only looks dead: to be removed
-- a quarter of an hour from now.
local function collect_later(prefix, place)
  redis.call('ZADD', prefix .. 'orphans', whole(now_us() + 900 * 1000000), place)
end

-- Delete the state that a worker has left of a job for the next one (see release.lua), since nobody needs it any more.
local function drop_state(prefix, id, state)
  if state then
    redis.call('HDEL', prefix .. 'job:' .. id, 'state')
    redis.call('ZADD', prefix .. 'orphans', whole(now_us()), id .. '/' .. string.match(state, '^[^/]+'))
  end
end

-- How often a job was started, but for the times after which it was handed over with its state.
local function counted_starts(fields)
  local starts, handovers = fields[1], fields[2]
  return tonumber(starts) - tonumber(handovers or 0)
end

-- Forget an upload. Its file has a name of its own, so that the same picture can be uploaded again meanwhile.
local function drop_upload(prefix, owner, digest)
  local upload = prefix .. 'upload:' .. owner .. ':' .. digest
  local place, bytes = unpack(redis.call('HMGET', upload, 'place', 'bytes'))
  redis.call('ZREM', prefix .. 'uploads', owner .. ':' .. digest)
  redis.call('ZREM', prefix .. 'uploads_of:' .. owner, digest)
  if not place then
    return ''
  end
  redis.call('DEL', upload)
  for _, whose in ipairs({owner, 'all'}) do
    if redis.call('HINCRBY', prefix .. 'upload_bytes', whose, -bytes) == 0 then
      redis.call('HDEL', prefix .. 'upload_bytes', whose)
    end
  end
  redis.call('ZADD', prefix .. 'orphans', whole(now_us()), place)
  return place
end

-- The bytes that a job takes while it is kept. In Redis: its record, and what else there is of it in indexes and events
-- (BYTES_BESIDE, measured). In the artifact store: the files that were sent for it. Counted in its record and in the
-- totals of all jobs; delete.lua takes them off again, so that the totals are exact: a job that was never weighed, being
-- of an older version, counts nothing.
local BYTES_BESIDE = 2048

local function weigh(prefix, id)
  local job = prefix .. 'job:' .. id
  local record = 0
  for _, value in ipairs(redis.call('HVALS', job)) do
    record = record + #value
  end
  local counted, counted_files, inputs, uploads =
    unpack(redis.call('HMGET', job, 'bytes', 'file_bytes', 'inputs_bytes', 'uploads_bytes'))
  local bytes, file_bytes = BYTES_BESIDE + record, (inputs or 0) + (uploads or 0)
  redis.call('HSET', job, 'bytes', whole(bytes), 'record_bytes', record)
  redis.call('INCRBY', prefix .. 'kept_bytes', whole(bytes - (counted or 0)))
  if counted_files or file_bytes > 0 then
    redis.call('HSET', job, 'file_bytes', whole(file_bytes))
    redis.call('INCRBY', prefix .. 'kept_file_bytes', whole(file_bytes - (counted_files or 0)))
  end
end

-- The labels of a request, which few have.
local function labels_of(request)
  return string.find(request, '"labels"', 1, true) and cjson.decode(request).labels or {}
end

-- Count a duration of a job for the histograms of /metrics, or its end (`what` is 'ended', without seconds). A field of
-- the hash is what is counted, the job's kind, model and preset, and how it ended, and then the end of a bucket or 'sum'.
local BUCKETS_S = {0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}

local function tally(prefix, id, what, outcome, seconds)
  local kind, model, preset = unpack(redis.call('HMGET', prefix .. 'job:' .. id, 'kind', 'model', 'preset'))
  local function field(last)
    return cjson.encode({what, kind or 'generate', model or '', preset or '', outcome, last})
  end
  if not seconds then
    redis.call('HINCRBY', prefix .. 'tallies', field(''), 1)
    return
  end
  local bucket = '+Inf'
  for i = #BUCKETS_S, 1, -1 do
    bucket = seconds <= BUCKETS_S[i] and tostring(BUCKETS_S[i]) or bucket
  end
  redis.call('HINCRBY', prefix .. 'tallies', field(bucket), 1)
  redis.call('HINCRBYFLOAT', prefix .. 'tallies', field('sum'), string.format('%.3f', seconds))
end

-- All keys of a night.
local function keys_of_night(prefix, id)
  return {prefix .. 'night:' .. id, prefix .. 'night_jobs:' .. id, prefix .. 'night_scores:' .. id,
    prefix .. 'night_pictures:' .. id, prefix .. 'night_race:' .. id}
end

-- Enter a terminal status, once.
local function finish(prefix, id, from, to)
  if from == 'queued' then
    dequeue(prefix, id)
    begin_events(prefix, id) -- not first: a server that is full takes it behind a write that needs no memory
    refund(prefix, id)
  else
    end_lease(prefix, id)
  end
  move(prefix, id, from, to)
  local now = whole(now_us())
  local started, pictures, state =
    unpack(redis.call('HMGET', prefix .. 'job:' .. id, 'started_us', 'pictures', 'state'))
  local is_done = to == 'succeeded'
  settle(prefix, id, is_done and 0 or from == 'queued' and 1 or undone(prefix, id),
    is_done and tonumber(pictures or 0) or 0,
    from == 'running' and math.max(0, math.floor((now - started) / 1000)) or 0)
  redis.call('HSET', prefix .. 'job:' .. id, 'finished_us', now)
  redis.call('ZADD', prefix .. 'finished', now, id)
  tally(prefix, id, 'ended', to)
  if from == 'running' then
    tally(prefix, id, 'ran', to, math.max(0, now - started) / 1000000)
  end
  -- What it brought is of no more use, whatever its end, and nobody writes there any more.
  if redis.call('HDEL', prefix .. 'job:' .. id, 'uploads_bytes') == 1 then
    redis.call('ZADD', prefix .. 'orphans', now, id .. '/uploads')
  end
  drop_state(prefix, id, state)
  weigh(prefix, id)
  emit(prefix, id, 'done', 'status', to)
  owe_webhook(prefix, id, 'done')
  redis.call('EXPIRE', prefix .. 'events:' .. id, 3600)
  redis.call('EXPIRE', prefix .. 'previews:' .. id, 60)
end

-- End an execution without an outcome: the job waits again at its old place, and has made no progress.
local function requeue(prefix, id, reason)
  end_lease(prefix, id)
  collect_later(prefix, id .. '/' .. redis.call('HGET', prefix .. 'job:' .. id, 'fence'))
  move(prefix, id, 'running', 'queued')
  redis.call('HDEL', prefix .. 'job:' .. id, 'step', 'steps', 'eta_s')
  enqueue(prefix, id)
  emit(prefix, id, 'queued', 'reason', reason)
end

-- Whether the execution that holds this fence still owns the job.
local function owns(prefix, id, fence)
  local held = redis.call('HMGET', prefix .. 'job:' .. id, 'status', 'fence')
  return held[1] == 'running' and held[2] == fence
end
