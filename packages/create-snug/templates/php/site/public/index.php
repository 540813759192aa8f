<?php

// The page: a sign-in form, or the chat if the user is signed in.

declare(strict_types=1);

require_once __DIR__ . '/../site.php';

openSession();
// Your own sign-in replaces this. It asks for no password, so it works only in PHP's development server.
$name = PHP_SAPI === 'cli-server' ? $_POST['name'] ?? null : null;
if (is_string($name) && preg_match('/^[\p{L}\p{N} .-]{1,24}$/Du', trim($name)) === 1) {
    // Prevents session fixation.
    session_regenerate_id(true);
    $_SESSION['user'] = trim($name);
    header('Location: ./', true, 303);
    exit;
}
$user = currentUser();
header('Cache-Control: no-store');
?>
<!doctype html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Lobby</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="style.css">
<?php if ($user !== null) : ?>
    <script type="module" src="chat.js"></script>
<?php endif ?>
</head>
<body>
<?php if ($user === null) : ?>
<main>
    <h1>Sign in</h1>
    <form method="post">
        <input name="name" aria-label="Your name" placeholder="Your name" required maxlength="24" autofocus>
        <button>Sign in</button>
    </form>
</main>
<?php else : ?>
<main data-snug="<?= e(snugUrl()) ?>" data-room="<?= e(ROOM) ?>">
    <h1>Lobby</h1>
    <p id="status" role="status">connecting</p>
    <ul id="messages"></ul>
    <form id="composer">
        <input id="text" aria-label="Message" autocomplete="off" maxlength="500" required>
        <button>Send</button>
    </form>
</main>
<?php endif ?>
</body>
</html>
