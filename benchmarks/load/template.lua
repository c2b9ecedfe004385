-- Requests whose bodies are all different: eight digits of a template are a counter.
-- Arguments: the template's file; where the digits are in it; a header and its value, and so on.
local threads = 0
function setup(thread)
  thread:set("thread_id", threads)
  threads = threads + 1
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local template = file:read("*a")
  file:close()
  local at = tonumber(args[2])
  before, after = template:sub(1, at), template:sub(at + 9)
  headers = {}
  for i = 3, #args, 2 do headers[args[i]] = args[i + 1] end
  sent = 10000000 + thread_id * 10000000 + os.time() % 1000 * 10000
end

function request()
  sent = sent + 1
  return wrk.format("POST", wrk.path, headers, before .. sent .. after)
end
