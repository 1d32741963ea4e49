const $ = id => document.getElementById(id)
let limit = Infinity  // bytes of an upload
let most = 200, k = 12, shown = 12  // neighbors: at most, at first, now
let hasDomains = false, calibrated = null  // a score, rounded up as the slider has it
let query = []  // {name, src, id} of the index, or {name, src, vector}
let found = []  // neighbors, the best first
let trouble = ''  // what is said in place of neighbors
let number = 0  // of the last question: an answer to an earlier one is not shown
let adding = false  // whether chosen pictures join the query

function say(text, bad) {
  $('status').textContent = text
  $('status').className = bad ? 'bad' : ''
}

// What is known about a picture goes in as text, never as markup
function make(tag, name, text, ...children) {
  const e = document.createElement(tag)
  e.className = name
  e.textContent = text
  e.append(...children)
  return e
}

function button(name, text, title, act) {
  const e = make('button', name, text)
  e.type = 'button'
  e.title = title
  e.onclick = act
  return e
}

function image(src, alt) {
  const e = document.createElement('img')
  e.src = src
  e.alt = alt
  e.onerror = () => { if (!alt) e.remove() }  // a browser shows no HEIC; the name is there
  return e
}

// The answer's JSON; an Error whose text can be shown where there is none
async function ask(url, options) {
  let answer, data
  try {
    answer = await fetch(url, options)
    data = await answer.json()
  } catch (e) {
    throw new Error('The server does not answer.')
  }
  if (!answer.ok) throw new Error(data.error)
  return data
}

// ---- the query

function showQuery() {
  $('drop').classList.toggle('small', query.length > 0)
  $('query').replaceChildren(...query.map((item, i) => {
    const away = button('', '×', 'Take it out of the query', () => setQuery(query.filter((_, j) => j != i)))
    away.setAttribute('aria-label', 'Take ' + item.name + ' out of the query')
    const name = make('span', 'name', item.name.split('/').pop())
    name.title = item.name
    return make('li', 'item', '', image(item.src, ''), name, away)
  }))
  if (!query.length) return
  const more = button('', '+ another view', 'Several pictures of one thing are one query', () => {
    adding = true
    $('file').click()
  })
  $('query').append(make('li', '', '', more))
}

const remember = view => history.pushState({items: query, view}, '')  // for the way back

function setQuery(items, isNew = true) {
  query = items
  shown = k
  if (isNew) remember('search')
  showQuery()
  search()
}

async function search() {
  const mine = ++number
  if (!query.length) {
    found = []
    showFound()
    return say('')
  }
  say('Searching ...')
  trouble = ''
  const filters = new URLSearchParams({k: shown, label: $('label').value.trim(), domain: $('domain').value})
  const body = JSON.stringify({vectors: query.filter(q => q.vector).map(q => q.vector),
                               ids: query.filter(q => !q.vector).map(q => q.id)})
  let answer = {neighbors: []}, error = ''
  try {
    answer = await ask('/together?' + filters, {method: 'POST', body})
  } catch (e) {
    error = e.message
  }
  if (mine != number) return
  found = answer.neighbors
  trouble = error
  showFound()
}

async function take(files) {
  files = [...files]
  const before = adding ? query : []
  adding = false
  if (!files.length) return
  showView('search')
  const mine = ++number
  say('Looking at ' + (files.length > 1 ? files.length + ' pictures ...' : files[0].name + ' ...'))
  const items = [], errors = []
  for (const file of files) {
    try {
      if (file.size > limit) throw new Error('The picture is larger than ' + (limit/1048576).toFixed(0) + ' MB.')
      const {vector} = await ask('/vector', {method: 'POST', body: file})
      items.push({name: file.name, src: URL.createObjectURL(file), vector})
    } catch (e) {
      errors.push(file.name + ': ' + e.message)
    }
    if (mine != number) return
  }
  setQuery([...before, ...items])
  if (errors.length) $('query').append(make('li', 'bad', errors.join(' ')))
}

const similar = n => { showView('search'); setQuery([fromIndex(n)]) }
const add = n => { showView('search'); setQuery([...query, fromIndex(n)]) }
const fromIndex = n => ({name: n.image, src: '/picture/' + n.id, id: n.id})

// ---- what was found

const domainOf = n => hasDomains ? n.domain : ''  // one that all pictures share tells nothing
const least = () => +$('least').value

function showFound() {
  const good = found.filter(n => n.score >= least()).length
  const cards = found.map((n, i) => card(n, i, i >= good))
  if (good && good < found.length) {
    cards.splice(good, 0, make('li', 'line', 'Below ' + least().toFixed(2) + ': probably something else'))
  }
  $('found').replaceChildren(...cards)
  $('more').hidden = found.length < shown || shown >= most
  $('least-shown').textContent = (least() ? least().toFixed(2) : 'any') +
    (least() == calibrated && query.length < 2 ? ' (calibrated)' : '')  // for one picture, not for a mean
  if (!query.length) return
  if (trouble) say(trouble, true)
  else if (!found.length) say('No picture passes the filter.')
  else if (!good) say('Probably none of these: the best score is ' + found[0].score.toFixed(2) + '.', true)
  else if (good < found.length) say(good + ' of ' + found.length + ' neighbors at ' + least().toFixed(2) + ' or more')
  else say(found.length + (found.length > 1 ? ' neighbors' : ' neighbor'))
}

function card(n, i, isBelow) {
  const open = button('open', '', 'See it at its full size', () => showOriginal(found, i))
  open.append(image('/picture/' + n.id, n.label || n.image))
  const acts = make('div', 'acts', '',
    button('similar', 'similar', 'Search with this picture', () => similar(n)),
    button('add', 'add', 'Add this picture to the query', () => add(n)))
  return make('li', isBelow ? 'card below' : 'card', '', open,
    make('div', '', '', make('span', 'score', n.score.toFixed(3)), make('span', 'label', n.label)),
    make('div', 'domain', domainOf(n)), make('div', 'image', n.image), acts)
}

// ---- one picture at its full size

let row = [], at = 0  // the pictures that the arrows lead through, and the one that is shown

function showOriginal(pictures, i) {
  const n = pictures[i]
  row = pictures
  at = i
  $('large').src = '/original/' + n.id
  $('large').alt = n.label || n.image
  $('large-label').textContent = n.label
  $('large-domain').textContent = domainOf(n)
  $('large-image').textContent = n.image
  $('large-score').textContent = n.score == undefined ? '' : n.score.toFixed(3)
  $('previous').hidden = $('next').hidden = pictures.length < 2
  $('previous').disabled = i == 0
  $('next').disabled = i == pictures.length - 1
  if (!$('original').open) $('original').showModal()
}

const step = by => { if (row[at + by]) showOriginal(row, at + by) }
const leave = act => () => { $('original').close(); act(row[at]) }

$('previous').onclick = () => step(-1)
$('next').onclick = () => step(1)
$('close').onclick = () => $('original').close()
$('large-similar').onclick = leave(similar)
$('large-add').onclick = leave(add)
$('original').onclick = e => { if (e.target == $('original')) $('original').close() }
$('original').onclose = () => $('large').removeAttribute('src')
$('original').onkeydown = e => {
  if (e.key == 'ArrowLeft') step(-1)
  if (e.key == 'ArrowRight') step(1)
}

// ---- filters and views

let later
$('label').oninput = async () => {
  clearTimeout(later)
  later = setTimeout(search, 400)
  const names = await ask('/labels?' + new URLSearchParams({text: $('label').value})).catch(() => [])
  $('labels').replaceChildren(...names.map(([name, n]) => {
    const option = make('option', '', n + ' pictures')
    option.value = name
    return option
  }))
}
$('domain').onchange = search
$('least').oninput = showFound
$('filters').onsubmit = e => { e.preventDefault(); search() }
$('more').onclick = () => { shown = Math.min(2*shown, most); search() }

function showView(name) {
  for (const id of ['search', 'drop', 'query']) $(id).hidden = name != 'search'
  $('map').hidden = name != 'map'
  for (const view of ['search', 'map']) $('to-' + view).setAttribute('aria-pressed', view == name)
  if (name == 'map') showMap()
}
for (const view of ['search', 'map']) $('to-' + view).onclick = () => { showView(view); remember(view) }

// ---- pictures come in; the way back

$('file').onchange = e => { take(e.target.files); }
$('file').onclick = () => $('file').value = ''  // the same file can be chosen again
$('file').oncancel = () => adding = false
$('drop').onclick = () => adding = false
$('drop').onkeydown = e => {
  if (e.key != 'Enter' && e.key != ' ') return
  e.preventDefault()
  adding = false
  $('file').click()
}
for (const type of ['dragover', 'dragleave', 'drop']) {
  addEventListener(type, e => {
    e.preventDefault()
    $('drop').classList.toggle('over', type == 'dragover')
  })
}
addEventListener('drop', e => take(e.dataTransfer.files))
addEventListener('paste', e => take(e.clipboardData.files))
addEventListener('popstate', e => {
  setQuery(e.state?.items || [], false)
  showView(e.state?.view || 'search')
})
addEventListener('keydown', e => {  // arrows go from neighbor to neighbor
  const cards = [...document.querySelectorAll('#found .open')], i = cards.indexOf(document.activeElement)
  if (e.key == '/' && !e.target.closest('input, select, dialog')) { e.preventDefault(); $('label').focus() }
  if (i < 0 || !e.key.startsWith('Arrow')) return
  const y = cards[i].getBoundingClientRect().top, across = cards.filter(c => c.getBoundingClientRect().top == y).length
  const to = i + {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across}[e.key]
  e.preventDefault()
  cards[to]?.focus()
})

history.replaceState({items: [], view: 'search'}, '')
ask('/about').then(about => {
  limit = about.limit
  most = about.most
  k = shown = about.k
  $('about').textContent = about.text
  $('by-label').hidden = !about.labels
  hasDomains = about.domains.length > 1
  $('by-domain').hidden = !hasDomains
  $('domain').append(...about.domains.map(([name, n]) => {
    const option = make('option', '', name + ' (' + n.toLocaleString('en') + ')')
    option.value = name
    return option
  }))
  if (about.min_score > 0) {
    calibrated = Math.ceil(about.min_score*100)/100
    $('least').value = calibrated
  }
  showFound()
  if (location.hash == '#map') showView('map')
}).catch(e => say(e.message, true))
