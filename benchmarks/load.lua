-- Script for wrk: sends prepared requests, picked at random.
-- OPERATION is one of list, get, create, update, mixed; USERS a file of "token id id id ..." lines.
local operation = os.getenv("OPERATION")
local requests = { list = {}, get = {}, create = {}, update = {} }
local shares = { { "list", 70 }, { "get", 85 }, { "create", 95 }, { "update", 100 } }
local statuses = { "Pending", "Completed" }

function init()
  math.randomseed(os.time())
  local count = 0
  for line in io.lines(os.getenv("USERS")) do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    local headers = { ["Authorization"] = "Bearer " .. words[1] }
    local with_body = { ["Authorization"] = headers["Authorization"], ["Content-Type"] = "application/json" }
    table.insert(requests.list, wrk.format("GET", "/api/tasks?limit=20", headers))
    table.insert(requests.create, wrk.format("POST", "/api/tasks", with_body, '{"title":"Measure twice, cut once"}'))
    for i = 2, #words do
      count = count + 1
      table.insert(requests.get, wrk.format("GET", "/api/tasks/" .. words[i], headers))
      table.insert(requests.update, wrk.format("PUT", "/api/tasks/" .. words[i], with_body,
        '{"status":"' .. statuses[count % 2 + 1] .. '"}'))
      table.insert(requests.update, wrk.format("PUT", "/api/tasks/" .. words[i], with_body,
        '{"status":"' .. statuses[(count + 1) % 2 + 1] .. '"}'))
    end
  end
end

function request()
  local chosen = operation
  if chosen == "mixed" then
    local dice = math.random(100)
    for _, share in ipairs(shares) do
      if dice <= share[2] then chosen = share[1] break end
    end
  end
  return requests[chosen][math.random(#requests[chosen])]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
