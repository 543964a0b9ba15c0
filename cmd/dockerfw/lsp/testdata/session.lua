-- A session of Neovim's own client.
local program, policy, results = vim.env.PROGRAM, vim.env.POLICY, vim.env.RESULTS
local out = {}

local function finish()
  vim.fn.writefile({ vim.json.encode(out) }, results)
  vim.cmd("qall!")
end

local ok, problem = pcall(function()
  vim.cmd("edit " .. policy)
  local buffer = vim.api.nvim_get_current_buf()
  local id = assert(vim.lsp.start_client({ name = "dockerfw", cmd = { program, "lsp" }, root_dir = vim.fn.fnamemodify(policy, ":h") }), "not started")
  assert(vim.lsp.buf_attach_client(buffer, id), "not attached")
  local client = vim.lsp.get_client_by_id(id)

  local function wait(what, condition)
    assert(vim.wait(60000, condition, 20), "no " .. what)
  end
  local function ask(method, line, column, more)
    local params = { textDocument = vim.lsp.util.make_text_document_params(buffer), position = { line = line, character = column } }
    local answer = client.request_sync(method, vim.tbl_extend("force", params, more or {}), 60000, buffer)
    assert(answer and not answer.err, method .. ": " .. vim.inspect(answer))
    return answer.result
  end
  local function messages()
    return vim.tbl_map(function(d) return d.message end, vim.diagnostic.get(buffer))
  end

  wait("initialization", function() return client.initialized end)
  -- A mistake is typed, and taken back.
  vim.api.nvim_buf_set_text(buffer, 2, 26, 2, 26, { "!" })
  wait("diagnostics", function() return #vim.diagnostic.get(buffer) > 0 end)
  out.diagnostics = messages()
  vim.cmd("undo")
  wait("end of diagnostics", function() return #vim.diagnostic.get(buffer) == 0 end)

  out.hover = ask("textDocument/hover", 9, 9).contents.value
  out.definition = ask("textDocument/definition", 12, 28)[1].range.start.line
  local labels = {}
  for _, item in ipairs(ask("textDocument/completion", 8, 0).items) do
    labels[item.label] = true
  end
  out.completes_deny = labels.deny or false

  local edit = ask("textDocument/rename", 5, 9, { newName = "branch" })
  vim.lsp.util.apply_workspace_edit(edit, client.offset_encoding)
  vim.lsp.buf.formatting_sync({}, 60000)
  out.text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "\n")
  client.stop()
end)
if not ok then
  out.problem = tostring(problem)
end
finish()
