// The settings form of a theme. Everything shown comes from the server, with the token that the operator types
// in where one is needed; the token is kept in this page only.
'use strict';

const TEXTS = {
  en: {
    title: 'Theme settings', token: 'Token of an operator', signIn: 'Sign in', save: 'Save', saved: 'Saved',
    unchanged: 'Nothing has changed', nothing: 'This theme has no settings', json: 'this is not JSON',
    language: 'Another language, e.g. fr', unreachable: 'The server does not answer',
  },
  zh: {
    title: '主题设置', token: '操作员令牌', signIn: '登录', save: '保存', saved: '已保存',
    unchanged: '没有改动', nothing: '该主题没有设置项', json: '不是有效的 JSON',
    language: '其他语言，如 fr', unreachable: '服务器无响应',
  },
};
const chinese = navigator.language.toLowerCase().startsWith('zh');
const words = TEXTS[chinese ? 'zh' : 'en'];
const by = (id) => document.getElementById(id);
const theme = location.pathname.replace(/\/+$/, '').split('/').at(-2);
const address = `/v1/web/themes/${theme}/settings`;
let token = '';
let controls = [];

/** Asks the server; gives the status and what it says. */
async function ask(method, body) {
  const headers = { Accept: 'application/json', 'Accept-Language': chinese ? 'zh-CN' : 'en' };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers['Content-Type'] = 'application/json';
  const answer = await fetch(address, { method, headers, body: body && JSON.stringify(body) });
  return { status: answer.status, said: await answer.json().catch(() => ({})) };
}

function say(note, wrong = '') {
  by('note').textContent = note;
  by('wrong').textContent = wrong;
}

/** An element to type a value in, and how to read it. */
function control(field, value) {
  const make = (tag, settings) => Object.assign(document.createElement(tag), settings);
  if (field.options.length > 0) {
    const select = make('select', {});
    const options = [{ label: '', value: '' }, ...field.options];
    for (const option of options) select.append(make('option', { textContent: option.label }));
    const at = field.options.findIndex((option) => option.value === value);
    select.selectedIndex = at + 1;
    return [select, () => options[select.selectedIndex].value];
  }
  switch (field.itemType) {
    case 'number': {
      const input = make('input', { type: 'number', step: 'any', value });
      return [input, () => (input.value === '' ? null : Number(input.value))];
    }
    case 'boolean': {
      const input = make('input', { type: 'checkbox', checked: value === true });
      return [input, () => input.checked];
    }
    case 'plugins': {
      const list = Array.isArray(value) ? value : [];
      const area = make('textarea', { value: list.join('\n') });
      return [area, () => area.value.split(/\s+/).filter(Boolean)];
    }
    case 'array':
    case 'object': {
      const area = make('textarea', { value: JSON.stringify(value, null, 2) });
      return [area, () => JSON.parse(area.value)];
    }
    default: {
      const text = value === null || value === undefined ? '' : String(value);
      const input = make('input', { type: 'text', value: text });
      const number = typeof value === 'number';
      return [input, () => (number && input.value === text ? value : input.value)];
    }
  }
}

/** One value with its label. */
function row(set, field, value, label) {
  const line = document.createElement('label');
  const [element, read] = control(field, value);
  line.append(label, ' ', element);
  set.append(line);
  return read;
}

function render(form) {
  document.title = by('title').textContent = `${form.name} ${form.version}`;
  by('fields').replaceChildren();
  controls = form.fields.map((field) => {
    const set = document.createElement('fieldset');
    const legend = document.createElement('legend');
    legend.textContent = field.itemKey;
    set.append(legend);
    by('fields').append(set);
    if (!field.isMultilingual) {
      return { field, read: row(set, field, field.value, '') };
    }
    const values = field.value && typeof field.value === 'object' ? field.value : {};
    const reads = new Map();
    const blank = field.itemType === 'array' || field.itemType === 'plugins' ? [] : field.itemType === 'object' ? {} : '';
    for (const tag of form.languages) reads.set(tag, row(set, field, values[tag] ?? blank, tag));
    const more = Object.assign(document.createElement('input'), { type: 'text', placeholder: words.language });
    more.addEventListener('change', () => {
      const tag = more.value.trim();
      if (tag && !reads.has(tag)) reads.set(tag, row(set, field, blank, tag));
      more.value = '';
      set.append(more);
    });
    set.append(more);
    const read = () => {
      const read = [...reads].map(([tag, value]) => [tag, value()]);
      return Object.fromEntries(read.filter(([tag, value]) => value !== '' || tag in values));
    };
    return { field, read };
  });
  by('sign-in').hidden = true;
  by('form').hidden = form.fields.length === 0;
  say(form.fields.length === 0 ? words.nothing : '');
}

async function load() {
  const { status, said } = await ask('GET');
  if (status === 200) return render(said);
  by('form').hidden = true;
  by('sign-in').hidden = status !== 401 && status !== 403;
  say('', status === 401 && !token ? '' : said.detail ?? said.title ?? String(status));
}

async function save() {
  const changes = {};
  for (const { field, read } of controls) {
    let value;
    try {
      value = read();
    } catch {
      return say('', `${field.itemKey}: ${words.json}`);
    }
    if (JSON.stringify(value) !== JSON.stringify(field.value)) changes[field.itemKey] = value;
  }
  if (Object.keys(changes).length === 0) return say(words.unchanged);
  const { status, said } = await ask('PATCH', changes);
  if (status === 200) {
    render(said);
    return say(words.saved);
  }
  const findings = (said.findings ?? []).map((finding) => `${finding.pointer ?? ''} ${finding.message ?? finding.text ?? ''}`);
  say('', findings.join('; ') || said.detail || said.title || String(status));
}

const gently = (work) => (event) => {
  event?.preventDefault();
  work().catch(() => say('', words.unreachable));
};
by('title').textContent = words.title;
by('token-label').textContent = words.token;
by('sign-in-button').textContent = words.signIn;
by('save').textContent = words.save;
by('sign-in').addEventListener('submit', gently(() => {
  token = by('token').value.trim();
  return load();
}));
by('form').addEventListener('submit', gently(save));
gently(load)();
