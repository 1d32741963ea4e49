const $ = id => document.getElementById(id)
let limit = Infinity  // bytes of an upload

function say(text, bad) {
  $('status').textContent = text
  $('status').className = bad ? 'bad' : ''
}

async function ask(url, options) {
  say('Searching ...')
  $('found').replaceChildren()
  let answer, data
  try {
    answer = await fetch(url, options)
    data = await answer.json()
  } catch (e) {
    return say('The server does not answer.', true)
  }
  if (!answer.ok) return say(data.error, true)
  say(data.neighbors.length + ' neighbors')
  $('found').append(...data.neighbors.map(card))
}

// What is known about a picture goes in as text, never as markup
function line(tag, name, text) {
  const e = document.createElement(tag)
  e.className = name
  e.textContent = text
  return e
}

function card(n) {
  const picture = document.createElement('img')
  picture.src = '/picture/' + n.id
  picture.alt = n.label
  const button = document.createElement('button')
  button.title = 'Search with this picture'
  button.append(picture)
  button.onclick = () => {
    $('query').src = picture.src
    $('hint').textContent = n.image
    ask('/like/' + n.id)
  }
  const li = document.createElement('li')
  li.append(
    button, line('span', 'score', n.score.toFixed(3)), line('div', 'label', n.label),
    line('div', 'domain', n.domain), line('div', 'image', n.image))
  return li
}

function take(file) {
  if (!file) return
  if (file.size > limit) return say('The picture is larger than ' + (limit/1048576).toFixed(0) + ' MB.', true)
  $('query').src = URL.createObjectURL(file)
  $('hint').textContent = file.name
  ask('/search', {method: 'POST', body: file})
}

fetch('/about').then(r => r.json()).then(about => {
  limit = about.limit
  $('about').textContent = about.text
})
$('file').onchange = e => take(e.target.files[0])
$('drop').onkeydown = e => { if (e.key == 'Enter' || e.key == ' ') $('file').click() }
for (const type of ['dragover', 'dragleave', 'drop']) {
  $('drop').addEventListener(type, e => {
    e.preventDefault()
    $('drop').classList.toggle('over', type == 'dragover')
  })
}
$('drop').addEventListener('drop', e => take(e.dataTransfer.files[0]))
addEventListener('paste', e => take([...e.clipboardData.files][0]))
// A picture dropped beside the field does not open in its place
addEventListener('dragover', e => e.preventDefault())
addEventListener('drop', e => e.preventDefault())
