const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#333333', '#8c510a']
const OTHER = '#bbbbbb'
const SHAPES = ['square', 'circle', 'triangle', 'diamond']
const MANY = 5000  // points in view, from which on they are dots without shape
const FEW = 120  // pictures in view, from which on they are drawn in place of points
let plan = null  // {id, x, y, label, domain} as arrays, once it is there
let view = {x: 0, y: 0, scale: 1}  // corner of what is seen, and pixels a unit; the map is one unit wide
let pointed = -1  // row of the point under the mouse or the arrows
let kind = []  // of each row the number of its color, COLORS.length for others
const thumbnails = new Map()
const canvas = $('points'), pen = canvas.getContext('2d')

async function showMap() {
  fit()
  if (plan) { tell(); return draw() }
  $('map-status').textContent = 'The map is being drawn; that takes some seconds, for many pictures a minute ...'
  try {
    plan = await ask('/map')
  } catch (e) {
    $('map-status').textContent = e.message
    return
  }
  tell()
  plan.x = Float32Array.from(plan.x, v => v/65535)
  plan.y = Float32Array.from(plan.y, v => v/65535)
  const names = ['domain', 'label'].filter(c => plan[c] && plan[c].names.length > 1)
  $('color').replaceChildren(...names.map(name => make('option', '', name)))
  $('color').parentNode.hidden = !names.length
  color()
  whole()
}

function tell() {
  const n = plan.id.length.toLocaleString('en'), all = plan.n.toLocaleString('en')
  const rings = found.length ? ' Black rings: what the last search found.' : ''
  $('map-status').textContent = (n == all ? n : n + ' of ' + all) + ' pictures; like ones lie together. ' +
    'Wheel or pinch to zoom, click one to open it.' + rings
}

// ---- what is seen

function fit() {
  const ratio = devicePixelRatio || 1
  canvas.width = canvas.clientWidth*ratio
  canvas.height = canvas.clientHeight*ratio
  pen.setTransform(ratio, 0, 0, ratio, 0, 0)
}

function ends(values) {
  let low = 1, high = 0
  for (const v of values) { low = Math.min(low, v); high = Math.max(high, v) }
  return low < high ? [low, high] : [low - .5, low + .5]
}

function whole() {
  const w = canvas.clientWidth, h = canvas.clientHeight
  const [x0, x1] = ends(plan.x), [y0, y1] = ends(plan.y)
  const scale = Math.max(50, Math.min((w - 40)/Math.max(x1 - x0, .05), (h - 40)/Math.max(y1 - y0, .05)))
  view = {scale, x: (x0 + x1)/2 - w/2/scale, y: (y0 + y1)/2 - h/2/scale}
  draw()
}

function zoom(by, px = canvas.clientWidth/2, py = canvas.clientHeight/2) {
  const scale = Math.min(Math.max(view.scale*by, 50), 4e6)
  view.x += px/view.scale - px/scale
  view.y += py/view.scale - py/scale
  view.scale = scale
  draw()
}

const place = i => [(plan.x[i] - view.x)*view.scale, (plan.y[i] - view.y)*view.scale]

function color() {
  const column = plan[$('color').value]
  kind = new Uint8Array(plan.id.length).fill(COLORS.length)
  let top = []
  if (column) {
    const counts = new Uint32Array(column.names.length)
    for (const code of column.of) counts[code]++
    top = [...counts.keys()].filter(code => column.names[code]).sort((a, b) => counts[b] - counts[a])
    top = top.slice(0, COLORS.length)
    const number = new Map(top.map((code, i) => [code, i]))
    column.of.forEach((code, i) => kind[i] = number.get(code) ?? COLORS.length)
  }
  const names = top.map(code => column.names[code])
  if (column && column.names.length > names.length) names.push('other')
  $('legend').replaceChildren(...names.map((name, i) => {
    const mark = document.createElement('canvas')
    mark.width = mark.height = 14
    const p = mark.getContext('2d')
    p.fillStyle = name == 'other' && i == names.length - 1 ? OTHER : COLORS[i]
    p.beginPath()
    shape(p, i, 7, 7, 5)
    p.fill()
    return make('li', '', '', mark, ' ' + name)
  }))
}

// ---- drawing

function shape(p, number, x, y, r) {
  const name = SHAPES[number%SHAPES.length]
  if (name == 'square') p.rect(x - r, y - r, 2*r, 2*r)
  if (name == 'circle') { p.moveTo(x + r, y); p.arc(x, y, r, 0, 7) }
  if (name == 'triangle') { p.moveTo(x, y - r); p.lineTo(x + r, y + r); p.lineTo(x - r, y + r) }
  if (name == 'diamond') { p.moveTo(x, y - r); p.lineTo(x + r, y); p.lineTo(x, y + r); p.lineTo(x - r, y) }
  p.closePath()
}

function inView() {
  const x1 = view.x + canvas.clientWidth/view.scale, y1 = view.y + canvas.clientHeight/view.scale, rows = []
  for (let i = 0; i < plan.id.length; i++) {
    if (plan.x[i] >= view.x && plan.x[i] <= x1 && plan.y[i] >= view.y && plan.y[i] <= y1) rows.push(i)
  }
  return rows
}

let waits = false
function draw() {  // once a frame
  if (waits || !plan || $('map').hidden) return
  waits = true
  requestAnimationFrame(() => { waits = false; drawNow() })
}

function drawNow() {
  const rows = inView(), ids = new Set(found.map(n => n.id))
  pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight)
  drawPoints(rows)
  if (rows.length <= FEW) drawPictures(rows, ids)
  else for (const i of rows) if (ids.has(plan.id[i])) ring(i, 8, '#000')
  if (pointed >= 0) ring(pointed, 11, '#d00')
}

function drawPoints(rows) {
  const r = Math.min(6, 60/Math.sqrt(rows.length)), groups = [...COLORS, OTHER].map(() => [])
  for (const i of rows) groups[kind[i]].push(i)
  groups.reverse()  // the most frequent value last, on top
  if (rows.length > MANY) return drawDots(groups)
  groups.forEach((group, i) => {
    const number = COLORS.length - i
    pen.fillStyle = COLORS[number] ?? OTHER
    pen.beginPath()
    for (const row of group) shape(pen, number, ...place(row), r)
    pen.fill()
  })
}

function drawDots(groups) {  // pixel by pixel: ten times as fast as shapes
  const ratio = canvas.width/canvas.clientWidth, size = Math.ceil(2*ratio)
  const sheet = pen.createImageData(canvas.width, canvas.height), pixels = new Uint32Array(sheet.data.buffer)
  groups.forEach((group, i) => {
    const [red, green, blue] = (COLORS[COLORS.length - i] ?? OTHER).match(/\w\w/g).map(c => parseInt(c, 16))
    const value = 0xff000000 | blue << 16 | green << 8 | red
    for (const row of group) {
      const x = (plan.x[row] - view.x)*view.scale*ratio | 0, y = (plan.y[row] - view.y)*view.scale*ratio | 0
      const right = Math.min(x + size, canvas.width), below = Math.min(y + size, canvas.height)
      for (let v = y; v < below; v++) pixels.fill(value, v*canvas.width + x, v*canvas.width + right)
    }
  })
  pen.putImageData(sheet, 0, 0)
}

function drawPictures(rows, ids) {
  const size = Math.min(110, Math.max(36, Math.sqrt(canvas.clientWidth*canvas.clientHeight/(rows.length + 1))*.55))
  for (const i of rows) {
    const picture = thumbnail(plan.id[i])
    if (!picture.complete || !picture.naturalWidth) continue
    const by = size/Math.max(picture.naturalWidth, picture.naturalHeight)
    const w = picture.naturalWidth*by, h = picture.naturalHeight*by, [x, y] = place(i)
    pen.drawImage(picture, x - w/2, y - h/2, w, h)
    pen.strokeStyle = ids.has(plan.id[i]) ? '#000' : COLORS[kind[i]] ?? OTHER
    pen.lineWidth = ids.has(plan.id[i]) ? 5 : 2
    pen.strokeRect(x - w/2, y - h/2, w, h)
  }
}

function ring(i, r, color) {
  const [x, y] = place(i)
  pen.lineWidth = 2.5
  pen.strokeStyle = color
  pen.beginPath()
  pen.arc(x, y, r, 0, 7)
  pen.stroke()
}

function thumbnail(id) {
  if (!thumbnails.has(id)) {
    const picture = image('/picture/' + id, '')
    picture.onload = draw
    thumbnails.set(id, picture)
  }
  return thumbnails.get(id)
}

// ---- pointing

function nearest(px, py, within = 24) {
  const x = px/view.scale + view.x, y = py/view.scale + view.y
  let best = (within/view.scale)**2, row = -1
  for (let i = 0; i < plan.id.length; i++) {
    const d = (plan.x[i] - x)**2 + (plan.y[i] - y)**2
    if (d < best) { best = d; row = i }
  }
  return row
}

const named = (column, i) => plan[column] ? plan[column].names[plan[column].of[i]] : ''

function point(i) {
  pointed = i
  canvas.style.cursor = i < 0 ? 'grab' : 'pointer'
  $('tip').hidden = i < 0
  if (i >= 0) {
    const [x, y] = place(i), [img, text] = $('tip').children
    if (img.dataset.id != plan.id[i]) img.src = '/picture/' + plan.id[i]
    img.dataset.id = plan.id[i]
    const known = [named('label', i), hasDomains && named('domain', i)].filter(Boolean)
    text.textContent = known.join(', ') || 'picture ' + plan.id[i]
    const tip = $('tip').getBoundingClientRect()
    $('tip').style.left = Math.max(0, Math.min(x + 14, canvas.clientWidth - tip.width)) + 'px'
    $('tip').style.top = (y + 14 + tip.height > canvas.clientHeight ? Math.max(0, y - 14 - tip.height) : y + 14) + 'px'
  }
  draw()
}

async function openPoint(i) {
  if (i < 0) return
  try {
    showOriginal([await ask('/row/' + plan.id[i])], 0)
  } catch (e) {
    $('map-status').textContent = e.message
  }
}

// The nearest point in a direction
function neighbor(i, dx, dy) {
  let best = Infinity, row = i
  for (let j = 0; j < plan.id.length; j++) {
    const x = plan.x[j] - plan.x[i], y = plan.y[j] - plan.y[i]
    const along = x*dx + y*dy, aside = Math.abs(x*dy) + Math.abs(y*dx)
    if (along <= 0 || aside > along) continue
    const d = x*x + y*y
    if (d < best) { best = d; row = j }
  }
  return row
}

const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}
canvas.onkeydown = e => {
  if (!plan || e.ctrlKey || e.metaKey || e.altKey) return
  if (ARROWS[e.key]) {
    if (pointed < 0) point(nearest(canvas.clientWidth/2, canvas.clientHeight/2, 1e9))
    else point(neighbor(pointed, ...ARROWS[e.key]))
    keepInView()
  } else if (e.key == 'Enter') openPoint(pointed)
  else if (e.key == '+' || e.key == '=') zoom(1.5, ...(pointed < 0 ? [] : place(pointed)))
  else if (e.key == '-') zoom(1/1.5)
  else if (e.key == '0' || e.key == 'Home') whole()
  else if (e.key == 'Escape') point(-1)
  else return
  e.preventDefault()
}

function keepInView() {
  if (pointed < 0) return
  const [x, y] = place(pointed), w = canvas.clientWidth, h = canvas.clientHeight
  if (x > 0 && x < w && y > 0 && y < h) return
  view.x = plan.x[pointed] - w/2/view.scale
  view.y = plan.y[pointed] - h/2/view.scale
  point(pointed)
}

// ---- mouse and fingers: one drags, two zoom, a tap opens

const held = new Map()
let moved = 0
canvas.onpointerdown = e => {
  canvas.setPointerCapture(e.pointerId)
  held.set(e.pointerId, [e.offsetX, e.offsetY])
  if (held.size == 1) moved = 0
}
canvas.onpointermove = e => {
  if (!plan) return
  const before = held.get(e.pointerId)
  if (!before) return point(nearest(e.offsetX, e.offsetY))
  const other = [...held].find(([id]) => id != e.pointerId)?.[1], now = [e.offsetX, e.offsetY]
  moved += Math.hypot(now[0] - before[0], now[1] - before[1])
  held.set(e.pointerId, now)
  if (moved < 6) return
  if (other) {
    const apart = p => Math.hypot(p[0] - other[0], p[1] - other[1])
    zoom(apart(now)/Math.max(1, apart(before)), (now[0] + other[0])/2, (now[1] + other[1])/2)
  } else {
    view.x -= (now[0] - before[0])/view.scale
    view.y -= (now[1] - before[1])/view.scale
  }
  point(-1)
}
canvas.onpointerup = e => {
  held.delete(e.pointerId)
  if (!plan || moved >= 6) return
  point(nearest(e.offsetX, e.offsetY))
  openPoint(pointed)
}
canvas.onpointercancel = e => held.delete(e.pointerId)
canvas.onpointerleave = e => { if (plan && e.pointerType == 'mouse' && !held.size) point(-1) }
canvas.addEventListener('wheel', e => {
  if (!plan) return
  e.preventDefault()
  point(-1)
  zoom(Math.exp(-e.deltaY*(e.deltaMode ? .05 : .0015)), e.offsetX, e.offsetY)
}, {passive: false})

$('color').onchange = () => { color(); draw() }
$('zoom-in').onclick = () => zoom(1.5)
$('zoom-out').onclick = () => zoom(1/1.5)
$('whole').onclick = whole
$('map-how').onsubmit = e => e.preventDefault()
addEventListener('resize', () => { if (plan && !$('map').hidden) { fit(); draw() } })
