<!doctype html>
<html lang="en">
<link rel="icon" href="data:,">
<title>Orders</title>
<meta name="csrf-token" content="<?= csrf_token() ?>">
<script type="module" src="/echo.js"></script>
</html>
