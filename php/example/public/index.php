<?php

// The home page: a sign-in form, or the chat if the user is signed in.

declare(strict_types=1);

namespace Example;

require_once __DIR__ . '/../recent-events.php';

openSession();
sendHeaders();
$user = currentUser();
$events = recentEvents();
$descriptions = [
    'room.occupied' => 'The room became active',
    'room.vacated' => 'The room became empty',
    'member.joined' => '%s joined',
    'member.left' => '%s left',
];
?>
<!doctype html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>The Corner Shop</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="style.css">
<?php if ($user) : ?>
    <script type="module" src="chat.js"></script>
<?php endif ?>
</head>
<body>
<header>
    <h1>The Corner Shop</h1>
<?php if ($user) : ?>
    <form method="post" action="sign-out.php">
        <input type="hidden" name="csrf" value="<?= e(csrfToken()) ?>">
        <span>Signed in as <strong><?= e($user['name']) ?></strong></span>
        <button>Sign out</button>
    </form>
<?php endif ?>
</header>

<?php if (!$user) : ?>
<main class="sign-in">
    <form method="post" action="sign-in.php">
        <h2>Sign in</h2>
        <p>Sign in to join the chat.</p>
        <input type="hidden" name="csrf" value="<?= e(csrfToken()) ?>">
        <label for="name">Your name</label>
        <input id="name" name="name" required maxlength="24" autocomplete="nickname" autofocus>
        <fieldset>
            <legend>How Snug authenticates you</legend>
            <label><input type="radio" name="auth" value="token" checked> With a token that this site signs</label>
            <label><input type="radio" name="auth" value="cookie"> With your session cookie, which Snug checks with this site</label>
        </fieldset>
        <button class="primary">Sign in</button>
    </form>
</main>
<?php else : ?>
<main class="chat" data-snug="<?= e(snugUrl()) ?>" data-room="<?= e(ROOM) ?>" data-auth="<?= e($user['auth']) ?>"
      data-user="<?= e($user['id']) ?>" data-site="<?= e(SITE) ?>">
    <section class="conversation" aria-labelledby="chat-title">
        <h2 id="chat-title">Chat</h2>
        <p id="status" role="status">Connecting…</p>
        <div id="log" role="log" aria-labelledby="chat-title" tabindex="0"><ol id="messages"></ol></div>
        <form id="composer" inert>
            <label for="text">Message</label>
            <input id="text" autocomplete="off" maxlength="500" required>
            <button class="primary">Send</button>
        </form>
    </section>
    <aside aria-label="People" tabindex="0">
        <section aria-labelledby="members-title">
            <h2 id="members-title">Members</h2>
            <ul id="members"></ul>
        </section>
    <?php if ($events !== []) : ?>
        <section aria-labelledby="events-title">
            <h2 id="events-title">Recent events</h2>
            <ul class="events">
        <?php foreach ($events as $event) : ?>
                <li>
                    <?= e(sprintf($descriptions[$event['type']] ?? $event['type'], nameOf($event['user'] ?? ''))) ?>
                    <time datetime="<?= gmdate('c', intdiv($event['time'], 1000)) ?>">
                        <?= gmdate('H:i', intdiv($event['time'], 1000)) ?> UTC
                    </time>
                </li>
        <?php endforeach ?>
            </ul>
        </section>
    <?php endif ?>
    </aside>
</main>
<?php endif ?>
</body>
</html>
