<?php

// The site's page: a form to sign in, and then the chat.

declare(strict_types=1);

namespace Example;

require_once __DIR__ . '/../lately.php';

openSession();
sendHeaders();
$visitor = visitor();
$words = [
    'room.occupied' => 'The room woke up',
    'room.vacated' => 'Everybody had left',
    'member.joined' => '%s came',
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
<?php if ($visitor) : ?>
    <script type="module" src="chat.js"></script>
<?php endif ?>
</head>
<body>
<header>
    <h1>The Corner Shop</h1>
<?php if ($visitor) : ?>
    <form method="post" action="sign-out.php">
        <input type="hidden" name="form" value="<?= e(formToken()) ?>">
        <span>Signed in as <strong><?= e($visitor['name']) ?></strong></span>
        <button>Sign out</button>
    </form>
<?php endif ?>
</header>

<?php if (!$visitor) : ?>
<main class="sign-in">
    <form method="post" action="sign-in.php">
        <h2>Sign in</h2>
        <p>Who signs in may join the chat.</p>
        <input type="hidden" name="form" value="<?= e(formToken()) ?>">
        <label for="name">Your name</label>
        <input id="name" name="name" required maxlength="24" autocomplete="nickname" autofocus>
        <fieldset>
            <legend>How Snug learns who you are</legend>
            <label><input type="radio" name="by" value="token" checked> by a token that this site signs</label>
            <label><input type="radio" name="by" value="cookie"> by asking this site about your cookie</label>
        </fieldset>
        <button class="primary">Sign in</button>
    </form>
</main>
<?php else : ?>
<main class="chat" data-snug="<?= e(snugUrl()) ?>" data-room="<?= e(ROOM) ?>" data-by="<?= e($visitor['by']) ?>"
      data-user="<?= e($visitor['id']) ?>" data-site="<?= e(SITE) ?>">
    <section class="talk" aria-labelledby="talk-title">
        <h2 id="talk-title">Chat</h2>
        <p id="status" role="status">Connecting …</p>
        <div id="log" role="log" aria-labelledby="talk-title" tabindex="0"><ol id="messages"></ol></div>
        <form id="composer" inert>
            <label for="text">Message</label>
            <input id="text" autocomplete="off" maxlength="500" required>
            <button class="primary">Send</button>
        </form>
    </section>
    <aside aria-label="People" tabindex="0">
        <section aria-labelledby="here-title">
            <h2 id="here-title">Here now</h2>
            <ul id="members"></ul>
        </section>
    <?php if (lately() !== []) : ?>
        <section aria-labelledby="lately-title">
            <h2 id="lately-title">Lately</h2>
            <ul class="lately">
        <?php foreach (lately() as $event) : ?>
                <li>
                    <?= e(sprintf($words[$event['type']] ?? $event['type'], nameOf($event['user'] ?? ''))) ?>
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
